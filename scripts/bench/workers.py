"""What a second worker brings: one process of one thread against two that share a folder, everything loaded before."""

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from scripts.bench.timing import Benchmark, Figure, Measured, Options, ratios, seconds_note

ROOT = Path(__file__).parents[2]
FIGURES = {"scaling.workers": Figure("time of one single-thread worker / of two on one run", ">= 1.9")}


class Worker:
    """A process that makes units into the folders that it is told."""

    def __init__(self, rank: int, world: int, overrides: Sequence[str], options: Options) -> None:
        command = [sys.executable, "-m", "scripts.bench.child", "work", options.device, str(rank), str(world)]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self.process = subprocess.Popen(
            [*command, *overrides], cwd=ROOT, env=env, text=True, stdin=pipe, stdout=pipe, stderr=nowhere
        )

    @property
    def said(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def wait(self) -> None:
        """Until it is ready, or done."""
        if not self.said.readline():
            raise RuntimeError(f"a worker ended with exit code {self.process.wait()}")

    def begin(self, folder: Path) -> None:
        assert self.process.stdin is not None
        print(folder, file=self.process.stdin, flush=True)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def seconds_of(workers: Sequence[Worker], folder: Path) -> float:
    """Until the folder is complete: until one finds nothing left to make. Another may be making its last once more."""
    started = time.perf_counter()
    for worker in workers:
        worker.begin(folder)
    select.select([worker.said for worker in workers], [], [])
    seconds = time.perf_counter() - started
    for worker in workers:
        worker.wait()
    return seconds


def measure(options: Options) -> dict[str, Measured]:
    images, nfe = options.size(256, 128), options.size(4, 1)
    overrides = [f"images={images}", "batch_size=64", "budget.points=[2]"]
    overrides += [f"budget.search_nfe={nfe}", f"budget.final_nfe={nfe}"]
    worlds = {world: [Worker(rank, world, overrides, options) for rank in range(world)] for world in (1, 2)}
    try:
        for worker in (*worlds[1], *worlds[2]):
            worker.wait()
        with tempfile.TemporaryDirectory() as name:
            turns = [
                [seconds_of(workers, Path(name) / f"{run}-{world}") for world, workers in worlds.items()]
                for run in range(1 + options.repeat)
            ]
    finally:
        for worker in (*worlds[1], *worlds[2]):
            worker.end()
    one, two = zip(*turns[1:], strict=True)
    return {"scaling.workers": Measured(ratios(one, two), f"{images} images; {seconds_note(one=one, two=two)}")}


BENCHMARK = Benchmark(FIGURES, measure, cpu_only=True)
