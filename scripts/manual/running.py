"""Runs what a page of the docs shows, in order, in an empty folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from scripts.manual.blocks import Block, blocks

ROOT = Path(__file__).parents[2]
LONGEST = 900  # seconds of a block


def run_page(page: Path) -> float:
    """Seconds that the page's runnable blocks took; RuntimeError, with what was said, where one fails."""
    shown = list(blocks(page))
    if not any(block.runnable for block in shown):
        return 0.0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("run.py", "scripts"):
            (folder / part).symlink_to(ROOT / part)
        for block in shown:
            if block.title:
                write(folder / block.title, block.text)
            elif block.runnable:
                run(block, folder, f"{page.relative_to(ROOT)}:{block.line}")
    return time.monotonic() - began


def write(path: Path, text: str) -> None:
    """A file that the page shows. Of a package, what pip would leave too: so its entry points are found."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("x") as file:
        file.write(text)
    if path.name == "pyproject.toml":
        project = tomllib.loads(text)["project"]
        about = path.parent / f"{project['name']}-{project['version']}.dist-info"
        about.mkdir()
        title = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
        (about / "METADATA").write_text(title)
        points = [
            f"[{group}]\n" + "".join(f"{key} = {value}\n" for key, value in named.items())
            for group, named in project["entry-points"].items()
        ]
        (about / "entry_points.txt").write_text("\n".join(points))


def run(block: Block, folder: Path, where: str) -> None:
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = os.environ | {"PATH": search, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "WANDB_MODE": "offline"}
    if block.language == "python":
        (folder / "block.py").write_text(block.text)
        command = [sys.executable, "block.py"]
    else:
        command = ["bash", "-euo", "pipefail", "-c", block.text]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=env, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    ) as process:
        try:
            said, errors = process.communicate(timeout=LONGEST)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # what the block started, too
            raise RuntimeError(f"{where}: not done after {LONGEST} s") from None
    if process.returncode:
        raise RuntimeError(f"{where}: exit code {process.returncode}\n{said[-2000:]}{errors[-2000:]}")
