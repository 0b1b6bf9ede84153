"""How a search's time grows: the slope of log time over log images, candidates and NFE; 1 is proportional."""

from dataclasses import replace

import numpy as np
import torch

from noise_search.core.driver import search
from noise_search.run.parts import Parts, begin
from scripts.bench.timing import Benchmark, Figure, Measured, Options, alternate, open_run

FIGURES = {
    f"scaling.{axis}": Figure(f"slope of log time over log {axis}", target)
    for axis, target in {"images": "<= 1.05", "candidates": "<= 1.05", "nfe": "<= 1.05"}.items()
}


def slopes(sizes: list[int], seconds: list[list[float]]) -> list[float]:
    """One a run, of seconds [sizes][runs]."""
    return [float(np.polyfit(np.log(sizes), np.log(run), 1)[0]) for run in zip(*seconds, strict=True)]


@torch.no_grad()
def searched(parts: Parts, images: int, candidates: int, nfe: int) -> None:
    problem = replace(begin(parts, list(range(images))), search_nfe=nfe)
    list(search(problem, parts.run.algorithm, candidates))


def measure(options: Options) -> dict[str, Measured]:
    parts, base = open_run(options), options.size(64, 4, 1024)
    jobs = {  # axis -> (its sizes, images, candidates, NFE of each)
        "images": ([n * base for n in (1, 2, 4)], [(n * base, 1, 10) for n in (1, 2, 4)]),
        "candidates": ([2, 4, 8], [(base, n, 4) for n in (2, 4, 8)]),
        "nfe": ([8, 16, 32], [(base, 1, n) for n in (8, 16, 32)]),
    }
    out = {}
    for axis, (sizes, each) in jobs.items():
        seconds = alternate(options, *(lambda job=job: searched(parts, *job) for job in each))
        at = f"images x candidates x NFE: {', '.join('x'.join(map(str, job)) for job in each)}"
        out[f"scaling.{axis}"] = Measured(slopes(sizes, seconds), at)
    return out


BENCHMARK = Benchmark(FIGURES, measure)
