"""Does memory grow with the number of candidates? A new process for each search."""

import statistics
import subprocess
import sys
from pathlib import Path

from scripts.bench.timing import Benchmark, Figure, Measured, Options, ratios

ROOT = Path(__file__).parents[2]
FIGURES = {"memory": Figure("peak memory of a search of many candidates / of one", "<= 1.1")}


def peak(n: int, images: int, options: Options) -> int:
    """Bytes: resident, or on the GPU."""
    command = [sys.executable, "-m", "scripts.bench.child", "peak", options.device, str(n), str(images)]
    out = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return int(out.stdout.split()[-1])


def measure(options: Options) -> dict[str, Measured]:
    images, many = options.size(64, 8, 1024), options.size(64, 4)
    pairs = [(peak(many, images, options), peak(1, images, options)) for _ in range(options.repeat)]
    large, one = ([float(pair[i]) for pair in pairs] for i in range(2))
    megabytes = [round(statistics.median(values) / 1e6) for values in (large, one)]
    told = f"{many} candidates {megabytes[0]} MB, one {megabytes[1]} MB, libraries included"
    note = f"{images} images, as many rows at a time: {told}"
    return {"memory": Measured(ratios(large, one), note)}


BENCHMARK = Benchmark(FIGURES, measure)
