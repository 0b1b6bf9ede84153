"""How long a person waits after the demo's last image: curve, figures, report, wandb, and the end of the process.

The demo is made once; then everything after its last image is done again, a new process each time, with nothing kept
of real images' features ("cold") and with them ("warm").
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from noise_search.core.stopwatch import STAGES
from scripts.bench.timing import Benchmark, Figure, Measured, Options, ratios

ROOT = Path(__file__).parents[2]
FIGURES = {
    "after": Figure("time after the demo's last image, warm / time of its images"),
    "after.cold": Figure("time after the demo's last image, features of real images not kept", "<= 8", "s"),
    "after.warm": Figure("the same with them", "<= 8", "s"),
}


def make_demo(folder: Path, options: Options) -> float:
    """Seconds that its images took."""
    few = ["images=16", "budget.points=[1,2]"] if options.small else []
    command = [sys.executable, "run.py", f"hydra.run.dir={folder}", f"device={options.device}", *few]
    env = {**os.environ, "WANDB_MODE": "offline"}
    subprocess.run(command, cwd=ROOT, check=True, env=env, capture_output=True)
    seconds = json.loads((folder / "run.json").read_text())["seconds"]
    return sum(float(seconds[stage]) for stage in STAGES)


def seconds_after(run: Path, kept: Path, options: Options) -> float:
    """kept: the folder of features."""
    command = [sys.executable, "-m", "scripts.bench.child", "finish", str(run), options.device]
    env = {**os.environ, "NOISE_SEARCH_CACHE": str(kept), "WANDB_MODE": "offline"}
    out = subprocess.run(command, cwd=ROOT, check=True, env=env, capture_output=True, text=True)
    return time.time() - float(out.stdout.splitlines()[0])


def measure(options: Options) -> dict[str, Measured]:
    cold, warm = [], []
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "demo"
        before = make_demo(run, options)
        seconds_after(run, Path(name) / "kept", options)
        for i in range(options.repeat):
            cold.append(seconds_after(run, Path(name) / f"new{i}", options))
            warm.append(seconds_after(run, Path(name) / "kept", options))
    note = f"images {before:.0f} s"
    return {
        "after": Measured(ratios(warm, [before] * len(warm)), note),
        "after.cold": Measured(cold, note),
        "after.warm": Measured(warm, note),
    }


BENCHMARK = Benchmark(FIGURES, measure)
