"""How much of a search's gain a cheaper way of scoring keeps: pure functions of two tables of scores."""

from typing import NamedTuple

import numpy as np

RESAMPLES = 2_000


class Estimate(NamedTuple):
    """value, with percentiles of a bootstrap over images (95 %)."""

    value: float
    low: float
    high: float


def sets_of(scores: np.ndarray, n: int) -> np.ndarray:
    """float [I, K] -> [I, K // n, n]: disjoint sets of n candidates of an image; what is over is left out."""
    images, candidates = scores.shape
    if not 2 <= n <= candidates:
        raise ValueError(f"n={n}: from 2 to the {candidates} candidates of an image")
    return scores[:, : candidates // n * n].reshape(images, candidates // n, n)


def resampled(images: int, seed: int = 0) -> np.ndarray:
    """int64 [RESAMPLES, images]."""
    return np.random.default_rng(seed).integers(images, size=(RESAMPLES, images))


def interval(value: float, resamples: np.ndarray) -> Estimate:
    low, high = np.quantile(resamples, (0.025, 0.975)).tolist()
    return Estimate(value, low, high)


def capture(full: np.ndarray, draft: np.ndarray, n: int) -> Estimate:
    """Sum over sets of (full score of the draft's pick - mean), as a share of the sum of (best - mean).

    full, draft: float [I, K], scores of the same candidates; ties of a draft go to the earlier. 1: the draft picks the
    best of every n; 0: no better than chance.
    """
    f, d = sets_of(full, n), sets_of(draft, n)
    picked = np.take_along_axis(f, d.argmax(2)[:, :, None], 2)[:, :, 0]
    mean = f.mean(2)
    gained, possible = (picked - mean).sum(1), (f.max(2) - mean).sum(1)  # of each image
    rows = resampled(len(full))
    return interval(float(gained.sum() / possible.sum()), gained[rows].sum(1) / possible[rows].sum(1))


def rank_correlation(full: np.ndarray, draft: np.ndarray) -> Estimate:
    """Spearman's, among the candidates of an image; the mean over images. Images whose scores are all equal count 0."""
    a, b = (ranks(values) - (values.shape[1] - 1) / 2 for values in (full, draft))
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    each = np.divide((a * b).sum(1), scale, out=np.zeros(len(a)), where=scale > 0)
    return interval(float(each.mean()), each[resampled(len(full))].mean(1))


def ranks(values: np.ndarray) -> np.ndarray:
    """float [I, K] -> [I, K], from 0; equal values share their mean rank."""
    below = (values[:, :, None] > values[:, None, :]).sum(2)
    equal = (values[:, :, None] == values[:, None, :]).sum(2)
    return below + (equal - 1) / 2


def agreement(full: np.ndarray, draft: np.ndarray, n: int) -> Estimate:
    """Share of sets of n whose best candidate the draft picks."""
    each = (sets_of(full, n).argmax(2) == sets_of(draft, n).argmax(2)).mean(1)
    return interval(float(each.mean()), each[resampled(len(full))].mean(1))
