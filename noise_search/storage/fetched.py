"""What is known of files that were fetched: SOURCES.json beside them, with the sha256 of the first fetch."""

import json
import shutil
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from noise_search.errors import Refused
from noise_search.storage.atomic import replacing, sha256, write_text
from noise_search.storage.run_folder import read_json

RECORD = "SOURCES.json"  # path below its folder -> what `record` was told


def record(folder: Path, name: str, facts: dict[str, Any]) -> None:
    """Keep what is known of folder/name."""
    known = read_json(folder / RECORD) | {name: facts}
    write_text(folder / RECORD, json.dumps(known, indent=2, sort_keys=True) + "\n")


def recorded(path: Path) -> str | None:
    """The sha256 that a file had when it was fetched; None: it was not fetched by us."""
    for folder in path.parents:
        if facts := read_json(folder / RECORD).get(path.relative_to(folder).as_posix()):
            return str(facts["sha256"])
    return None


def refuse_changed(path: Path) -> None:
    """A file that is not what was fetched is refused; one that was never fetched is its owner's."""
    expected = recorded(path)
    if expected is not None and (found := sha256(path)) != expected:
        raise Refused(
            f"{path}: not what was fetched (sha256 {found[:16]}, it was {expected[:16]});"
            " remove it and fetch it again, or keep your own under another name"
        )


def download(url: str, target: Path, check: Callable[[Path], object] | None = None, timeout: float = 30.0) -> None:
    """Fetch one address whole or not at all: what is cut short, or what `check` refuses, never gets the name."""
    with urllib.request.urlopen(url, timeout=timeout) as answer, replacing(target) as temporary:
        with temporary.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
            got, length = file.tell(), answer.headers.get("Content-Length")
        if length is not None and got != int(length):
            raise Refused(f"{url}: cut short, {got:,} of {int(length):,} bytes came; fetch it again")
        if check is not None:
            check(temporary)
