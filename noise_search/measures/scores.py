"""Metrics of a set of images that come from its features: kernel distance, inception score, precision and recall."""

import itertools
from collections.abc import Callable, Iterator

import numpy as np

GROUPS = 10  # of a jackknife


def kernel_distance(x: np.ndarray, y: np.ndarray, block: int = 2000) -> float:
    """KID (Binkowski et al. 2018): squared MMD with kernel (x.y / D + 1)^3, unbiased; x [N, D], y [M, D], N, M >= 2.

    One estimate on all pairs rather than a mean over random subsets: no generator, and the least variance. The kernel
    is summed `block` rows at a time, so memory stays at block * max(N, M) numbers.
    """
    x, y, d = x.astype(np.float64), y.astype(np.float64), x.shape[1]

    def total(a: np.ndarray, b: np.ndarray) -> float:
        return sum(float(((a[i : i + block] @ b.T / d + 1) ** 3).sum()) for i in range(0, len(a), block))

    def within(a: np.ndarray) -> float:
        diagonal = float((((a * a).sum(1) / d + 1) ** 3).sum())
        return (total(a, a) - diagonal) / (len(a) * (len(a) - 1))

    return within(x) + within(y) - 2 * total(x, y) / (len(x) * len(y))


def inception_score(probabilities: np.ndarray, splits: int = 1, shuffle: bool = False) -> float:
    """exp(mean KL(p(class | image) || p(class))) of probabilities [N, classes]; from 1 to the number of classes.

    splits: the mean over so many runs of images, N >= splits; published values have 10. shuffle: in torch-fidelity's
    order (its seed 2020) first; ADM's evaluator keeps the order.
    """
    p = np.clip(probabilities.astype(np.float64), 1e-16, None)
    p /= p.sum(1, keepdims=True)
    if shuffle:
        p = p[np.random.RandomState(2020).permutation(len(p))]
    bounds = [i * len(p) // splits for i in range(splits + 1)]
    parts = [p[low:high] for low, high in itertools.pairwise(bounds)]
    return float(np.mean([np.exp((q * (np.log(q) - np.log(q.mean(0)))).sum(1).mean()) for q in parts]))


def _distances(x: np.ndarray, y: np.ndarray, numbers: int = 20_000_000) -> Iterator[tuple[slice, np.ndarray]]:
    """Squared, of x [N, D] to y [M, D]: (rows, [rows, M]), so many rows at a time that no piece has more `numbers`."""
    size, squares = max(1, numbers // len(y)), (y**2).sum(1)
    for rows in (slice(i, i + size) for i in range(0, len(x), size)):
        yield rows, np.maximum((x[rows] ** 2).sum(1)[:, None] + squares - 2 * x[rows] @ y.T, 0)


def precision_recall(
    x: np.ndarray, y: np.ndarray, k: int = 3, groups: int = 0
) -> tuple[tuple[float, float], np.ndarray]:
    """Improved precision and recall (Kynkaanniemi et al. 2019) of samples x [N, D] against real images y [M, D].

    Precision: share of samples within some real image's k-nearest-neighbour ball; recall: the reverse. Both depend on
    N and M, so only values at equal N and equal M compare. Needs more than k images on either side. Second: the same
    [groups, 2] without each of `groups` runs of neighbouring samples, of more than k each, from the same distances.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)
    group = np.arange(len(x)) * groups // len(x)
    real, radii = np.empty(len(y)), np.empty((1 + groups, len(x)))  # squared; of all samples, then without each group
    for rows, d in _distances(y, y):
        real[rows] = np.partition(d, k, axis=1)[:, k]  # the k-th neighbour's; index 0 is the image itself
    for rows, d in _distances(x, x):
        parts = [np.partition(d[:, group == g], k, axis=1)[:, : k + 1] for g in range(groups)] or [d]
        for out in range(1 + groups):  # the nearest of all are among the nearest of every group
            near = np.concatenate([part for g, part in enumerate(parts) if g != out - 1], 1)
            radii[out, rows] = np.partition(near, k, axis=1)[:, k]
    for out in range(1, 1 + groups):
        radii[out, group == out - 1] = -1  # left out: it reaches nobody
    precise, recalled = np.empty(len(x), bool), np.zeros((1 + groups, len(y)), bool)
    for rows, d in _distances(x, y):
        precise[rows] = (d <= real).any(1)
        for out in range(1 + groups):
            recalled[out] |= (d <= radii[out, rows, None]).any(0)
    left_out = [(precise[group != g].mean(), recalled[1 + g].mean()) for g in range(groups)]
    return (float(precise.mean()), float(recalled[0].mean())), np.array(left_out).reshape(groups, 2)


def jackknife_error(metric: Callable[[np.ndarray], tuple[float, ...]], n: int, groups: int = GROUPS) -> np.ndarray:
    """Standard errors of metric(all of n), from leaving out one of `groups` runs of neighbouring images at a time.

    metric maps indices [m] to numbers. Image ids cycle through the classes, so a run of neighbours is balanced. A
    bootstrap would repeat images, which biases distances between sets.
    """
    everything = np.arange(n)
    return spread(np.array([metric(everything[everything * groups // n != g]) for g in range(groups)]))


def spread(left_out: np.ndarray) -> np.ndarray:
    """Jackknife standard errors of numbers [groups, ...], each without one group."""
    groups = len(left_out)
    return np.sqrt((groups - 1) / groups * ((left_out - left_out.mean(0)) ** 2).sum(0))
