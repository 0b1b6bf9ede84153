"""What bfloat16 and torch.compile change in what a search chooses, and in the images.

Capture = sum over images of (float32 score of the pick - mean) / sum of (float32 maximum - mean), the pick chosen by
the other scores among the same candidates: the share of float32's gain that is kept. A run is a seed.
"""

from functools import cache, partial

import torch
from torch import Tensor

from noise_search.core.driver import search
from noise_search.run.parts import Parts, begin
from scripts.bench.timing import Benchmark, Figure, Measured, Options, open_run

FLOAT32 = ("precision=float32",)
WAYS = {"bf16": ("precision=bfloat16",), "compile": ("precision=bfloat16", "compile=true")}


def capture(scores: Tensor, picks: Tensor) -> float:
    """scores [B, K], of float32; picks int64 [B]."""
    mean, picked = scores.mean(1), scores.gather(1, picks[:, None])[:, 0]
    return float((picked - mean).sum() / (scores.amax(1) - mean).sum())


def agreement(scores: Tensor, picks: Tensor) -> float:
    """Share of images whose pick float32 would have picked too."""
    return float((scores.argmax(1) == picks).float().mean())


def decibels(a: Tensor, b: Tensor) -> float:
    """PSNR of images [B, 3, H, W] in [-1, 1]: the median over images."""
    error = (127.5 * (a - b)).square().flatten(1).mean(1)
    return float((10 * torch.log10(255**2 / error.clamp_min(1e-9))).median())


class Made:
    """scores [B, K] of every candidate; images [B, 3, H, W] of the first, at the final NFE."""

    @torch.no_grad()
    def __init__(self, parts: Parts, images: int, candidates: int, seed: int) -> None:
        problem = begin(parts, list(range(seed * images, (seed + 1) * images)))
        *_, last = search(problem, parts.run.algorithm, candidates)
        self.scores = last.scores[..., 0].cpu()
        self.images = problem.render(problem.noise(0), 1.0).cpu()


def sizes(options: Options) -> tuple[int, int]:
    """Images and candidates of a run."""
    return options.size(32, 4, 256), options.size(16, 4)


@cache
def reference(options: Options) -> list[Made]:
    parts = open_run(options, *FLOAT32)
    return [Made(parts, *sizes(options), seed) for seed in range(options.repeat)]


def measure(way: str, options: Options) -> dict[str, Measured]:
    images, candidates = sizes(options)
    parts = open_run(options, *WAYS[way])
    pairs = [(one, Made(parts, images, candidates, seed)) for seed, one in enumerate(reference(options))]
    picks = [(exact.scores, made.scores.argmax(1)) for exact, made in pairs]
    note = f"{images} images x {candidates} candidates a run, each run other images"
    return {
        f"precision.{way}.capture": Measured([capture(*pick) for pick in picks], note),
        f"precision.{way}.agreement": Measured([agreement(*pick) for pick in picks], note),
        f"precision.{way}.psnr": Measured(
            [decibels(exact.images, made.images) for exact, made in pairs], "median over a run's images, 20 NFE"
        ),
    }


def benchmark(way: str) -> Benchmark:
    what = {"bf16": "bfloat16", "compile": "bfloat16 under torch.compile"}[way]
    figures = {
        f"precision.{way}.capture": Figure(f"capture: share of float32's gain in score that {what} keeps", ">= 0.99"),
        f"precision.{way}.agreement": Figure(f"share of images for which {what} and float32 choose the same"),
        f"precision.{way}.psnr": Figure(f"images of the same noises, {what} against float32", unit="dB"),
    }
    return Benchmark(figures, partial(measure, way))
