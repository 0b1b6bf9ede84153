"""Two runs on the same images: is one better? Differences image by image, and of numbers of whole sets."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from noise_search.measures.pairs import group_cuts
from noise_search.measures.scores import GROUPS, half_width

RESAMPLES = 10_000
CHUNK = 4_000_000  # numbers drawn at a time


class Difference(NamedTuple):
    """difference: of the first minus the second; its 95 % interval, None: not to be had. images: that both have. p:
    two-sided, of no difference; wins, ties, losses: images on which the first is better, equal, worse; None for
    numbers of sets."""

    difference: float
    ci_low: float | None
    ci_high: float | None
    images: int
    p: float | None = None
    wins: int | None = None
    ties: int | None = None
    losses: int | None = None


def paired_bootstrap(first: np.ndarray, second: np.ndarray, better: str, seed: int = 0) -> Difference:
    """Numbers of the same images, float [N] each, under two runs: percentiles of the mean difference over 10,000
    resamples of images. p: twice the smaller share of resamples on either side of zero, at least 1 / 10,001.

    better: "higher" or "lower"; "": wins are not known.
    """
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    n = len(difference)
    value = float(difference.mean())
    sign = {"higher": 1, "lower": -1}.get(better)
    counts = {} if sign is None else dict(zip(("wins", "ties", "losses"), signs(sign * difference), strict=True))
    if n < 2:
        return Difference(value, None, None, n, **counts)
    rng, means = np.random.default_rng(seed), list[np.ndarray]()
    for start in range(0, RESAMPLES, rows := max(1, CHUNK // n)):
        drawn = rng.integers(n, size=(min(rows, RESAMPLES - start), n))
        means.append(difference[drawn].mean(1))
    resampled = np.concatenate(means)
    low, high = np.quantile(resampled, (0.025, 0.975)).tolist()
    side = min((resampled <= 0).sum(), (resampled >= 0).sum())
    p = min(1.0, 2 * (int(side) + 1) / (RESAMPLES + 1))
    return Difference(value, low, high, n, p, **counts)


def signs(gain: np.ndarray) -> tuple[int, int, int]:
    """How many are above, at and below zero."""
    return int((gain > 0).sum()), int((gain == 0).sum()), int((gain < 0).sum())


def jackknifed(measure: Callable[[np.ndarray], tuple[float, float]], n: int) -> Difference | None:
    """measure(rows int64) -> the number of the set of these of n images under each run. The difference, and its
    interval from leaving out each of ten groups of neighbouring images in turn (t, nine degrees of freedom); None
    where there are fewer than ten images a group."""
    if n < 10 * GROUPS:
        return None
    rows, cuts = np.arange(n), group_cuts(n, GROUPS)
    first, second = measure(rows)
    without = [measure(np.r_[rows[:low], rows[high:]]) for low, high in pairwise(cuts)]
    half = half_width(np.array([a - b for a, b in without]))
    value = first - second
    return Difference(value, value - half, value + half, n)
