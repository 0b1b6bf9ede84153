"""docs/benchmarks.json, what was measured, and docs/benchmarks.md, the same for a reader.

JSON: figure -> device -> {value, low, high, runs, command, hardware, date, note}, or null where it was not measured.
"""

import datetime
import json
import statistics
from pathlib import Path
from typing import Any

from scripts.bench.catalogue import BENCHMARKS, FIGURES
from scripts.bench.timing import Benchmark, Figure, Measured

DEVICES = ("cpu", "h100", "h200")  # that have a place; others are added when they are measured
Record = dict[str, dict[str, dict[str, Any] | None]]
HEAD = """# Benchmarks

Made by `make bench` (`python -m scripts.bench`) from [benchmarks.json](benchmarks.json): do not edit. Measured with
nothing else running. Every time is of alternating runs (A B A B ...), the first not counted; value: their median, then
the least and the greatest. A figure of one run is exact, or comes from all images at once. What storage costs:
`python scripts/bench_store.py`; rows a second of the published architectures: `python scripts/bench_imagenet.py`.
"""


def command(name: str, device: str, repeat: int = 5, small: bool = False) -> str:
    """What measures a benchmark."""
    words = ["python -m scripts.bench", f"--only {name}", f"--device {device}"]
    return " ".join([*words, *([f"--repeat {repeat}"] if repeat != 5 else []), *(["--small"] if small else [])])


def entry(found: Measured, command: str, hardware: str) -> dict[str, Any]:
    """What the JSON keeps of a figure on a device."""
    values = found.values
    spread = {"value": statistics.median(values), "low": min(values), "high": max(values)}
    numbers = {name: float(f"{value:.4g}") for name, value in spread.items()}
    told = {"runs": len(found.values), "command": command, "hardware": hardware}
    return {**numbers, **told, "date": datetime.date.today().isoformat(), "note": found.note}


def read(path: Path) -> Record:
    """The record, with a place for every figure on every device, and for no figure that is not measured any more."""
    known: Record = json.loads(path.read_text()) if path.exists() else {}
    devices = dict.fromkeys([*DEVICES, *(device for entries in known.values() for device in entries)])
    return {name: {device: known.get(name, {}).get(device) for device in devices} for name in FIGURES}


def met(figure: Figure, value: float) -> str:
    """Is the target reached?"""
    if not figure.target:
        return ""
    relation, bound = figure.target.split()
    reached = value <= float(bound) if relation == "<=" else value >= float(bound)
    return "yes" if reached else "no"


def number(value: float) -> str:
    return f"{value:.3g}"


def row(name: str, figure: Figure, found: dict[str, Any]) -> str:
    unit = f" {figure.unit}" if figure.unit else ""
    spread = f" [{number(found['low'])}, {number(found['high'])}]" if found["runs"] > 1 else ""
    cells = [f"`{name}`", figure.what, figure.target + (unit if figure.target else ""), met(figure, found["value"])]
    cells += [f"{number(found['value'])}{unit}{spread}", str(found["runs"]), found["note"]]
    cells += [f"{found['hardware']}; {found['date']}", f"`{found['command']}`"]
    return f"| {' | '.join(cells)} |"


def missing(name: str, one: Benchmark, record: Record) -> list[str]:
    """Rows of a benchmark that was not measured on some devices, one for CPUs and one for GPUs."""
    devices = [device for device in record[next(iter(one.figures))] if device == "cpu" or not one.cpu_only]
    lacking = [device for device in devices if any(record[figure][device] is None for figure in one.figures)]
    kinds = {"cpu": [d for d in lacking if d == "cpu"], "cuda": [d for d in lacking if d != "cpu"]}
    told = ", ".join(f"`{figure}`" for figure in one.figures)
    return [
        f"| {told} | not measured | {', '.join(kind)} | `{command(name, device)}` |"
        for device, kind in kinds.items()
        if kind
    ]


def page(record: Record, notes: str) -> str:
    """The Markdown of a record. notes: what is told at the end, in Markdown."""
    head = ("figure", "what it is", "target", "met", "value [low, high]", "runs", "note", "hardware", "command")
    lines = [HEAD, f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for name, figure in FIGURES.items():
        lines += [row(name, figure, found) for found in record[name].values() if found is not None]
    absent = [line for name, one in BENCHMARKS.items() for line in missing(name, one, record)]
    if absent:
        lines += ["", "## Not measured", "", "| figures | | on | command |", "|---|---|---|---|", *absent]
    return "\n".join([*lines, "", notes.strip(), ""])


def write(record: Record, folder: Path) -> None:
    """benchmarks.json and benchmarks.md; benchmarks-notes.md in `folder` ends the page."""
    notes = folder / "benchmarks-notes.md"
    (folder / "benchmarks.json").write_text(json.dumps(record, indent=2) + "\n")
    (folder / "benchmarks.md").write_text(page(record, notes.read_text() if notes.exists() else ""))
