"""How all of this is timed: alternating runs (A B A B ...), the first of each not counted, the device waited for."""

import platform
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from noise_search.configuration.compose import composed, own_hydra
from noise_search.run.assemble import assemble
from noise_search.run.description import describe
from noise_search.run.parts import Parts


@dataclass(frozen=True)
class Options:
    """device: "cpu" or "cuda"; repeat: runs that count; small: sizes that show that it works, and measure nothing."""

    device: str = "cpu"
    repeat: int = 5
    small: bool = False

    def size(self, cpu: int, small: int, cuda: int | None = None) -> int:
        """How much is done in a run, on this device."""
        return small if self.small else cuda if cuda and self.device == "cuda" else cpu


class Measured(NamedTuple):
    """One value a run; note: what a reader should know beside it."""

    values: Sequence[float]
    note: str = ""


class Figure(NamedTuple):
    """what is measured; target: "<= 0.35", ">= 0.95", or "" for none; unit: "" for a ratio."""

    what: str
    target: str = ""
    unit: str = ""


class Benchmark(NamedTuple):
    """figures: name -> what it is; measure: their values; cpu_only: it has nothing to do on a GPU."""

    figures: dict[str, Figure]
    measure: Callable[[Options], dict[str, Measured]]
    cpu_only: bool = False


def clock(call: Callable[[], object], options: Options) -> float:
    """Seconds of one call, the device's queue included."""
    started = time.perf_counter()
    call()
    if options.device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def alternate(
    options: Options, *calls: Callable[[], object], warm_up: Callable[[], object] | None = None
) -> list[list[float]]:
    """Seconds [calls][runs] of the calls in turn, after a turn that does not count, or `warm_up` in its place."""
    for call in calls if warm_up is None else (warm_up,):
        call()
    turns = [[clock(call, options) for call in calls] for _ in range(options.repeat)]
    return [list(seconds) for seconds in zip(*turns, strict=True)]


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    """Run by run."""
    return [a / b for a, b in zip(above, below, strict=True)]


def seconds_note(**seconds: Sequence[float]) -> str:
    """What took how long, by its name: medians."""
    return ", ".join(f"{name.replace('_', ' ')} {statistics.median(runs):.3g} s" for name, runs in seconds.items())


def open_run(options: Options, *overrides: str) -> Parts:
    """What `run.py` would build."""
    with own_hydra():
        return assemble(describe(*composed([f"device={options.device}", "logger=none", *overrides])))


def device_key(device: str) -> str:
    """ "cpu", or the GPU's name as far as it matters: "h100", "h200", ..."""
    if device == "cpu":
        return "cpu"
    name = torch.cuda.get_device_name().lower()
    found = re.search(r"[a-z]+\d+", name.replace("nvidia", ""))
    return found.group() if found else name


def hardware(device: str) -> str:
    """The machine, for a reader."""
    if device == "cuda":
        return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"
    info = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.+)", info.read_text()) if info.exists() else []
    name = names[0] if names else platform.processor()
    threads = torch.get_num_threads()
    return f"{name}, {threads} thread{'s' if threads > 1 else ''}, torch {torch.__version__}"
