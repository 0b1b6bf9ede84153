"""What a second worker brings: one process of one thread against two that share a folder, everything loaded before."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.bench.timing import Benchmark, Figure, Measured, Options, alternate, ratios, seconds_note

ROOT = Path(__file__).parents[2]
FIGURES = {"scaling.workers": Figure("time of one single-thread worker / of two on one run", ">= 1.9")}


class Worker:
    """A process that makes units into the folders that it is told."""

    def __init__(self, rank: int, world: int, overrides: Sequence[str], options: Options) -> None:
        command = [sys.executable, "-m", "scripts.bench.child", "work", options.device, str(rank), str(world)]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen([*command, *overrides], cwd=ROOT, env=env, text=True, **pipes)

    def wait(self) -> None:
        """Until it is ready, or done."""
        assert self.process.stdout is not None
        if not self.process.stdout.readline():
            raise RuntimeError(f"a worker ended with exit code {self.process.wait()}")

    def begin(self, folder: Path) -> None:
        assert self.process.stdin is not None
        print(folder, file=self.process.stdin, flush=True)

    def end(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(options: Options) -> dict[str, Measured]:
    images, nfe = options.size(512, 128), options.size(4, 1)
    overrides = [f"images={images}", "batch_size=64", "budget.points=[2]"]
    overrides += [f"budget.search_nfe={nfe}", f"budget.final_nfe={nfe}"]
    worlds = {world: [Worker(rank, world, overrides, options) for rank in range(world)] for world in (1, 2)}
    try:
        for worker in (*worlds[1], *worlds[2]):
            worker.wait()
        with tempfile.TemporaryDirectory() as name:
            made = iter(range(10**6))

            def make(world: int) -> None:
                folder = Path(name) / str(next(made))
                for worker in worlds[world]:
                    worker.begin(folder)
                for worker in worlds[world]:
                    worker.wait()

            one, two = alternate(options, lambda: make(1), lambda: make(2))
    finally:
        for worker in (*worlds[1], *worlds[2]):
            worker.end()
    return {"scaling.workers": Measured(ratios(one, two), f"{images} images; {seconds_note(one=one, two=two)}")}


BENCHMARK = Benchmark(FIGURES, measure, cpu_only=True)
