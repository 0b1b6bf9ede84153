"""Metrics of a set of images that come from its features: kernel distance, inception score, precision and recall."""

import itertools
from collections.abc import Callable

import numpy as np


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


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:  # [N, D], [M, D] -> [N, M], squared
    return np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T, 0)


def precision_recall(x: np.ndarray, y: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al. 2019) of samples x [N, D] against real images y [M, D].

    Precision: share of samples within some real image's k-nearest-neighbour ball; recall: the reverse. Both depend on
    N and M, so only values at equal counts compare. Needs more than k images on either side.
    """
    x, y = x.astype(np.float64), y.astype(np.float64)

    def radii(a: np.ndarray) -> np.ndarray:  # squared distance to the k-th neighbour; index 0 is the image itself
        return np.partition(_distances(a, a), k, axis=1)[:, k]

    between = _distances(x, y)
    precision = (between <= radii(y)[None, :]).any(1).mean()
    recall = (between <= radii(x)[:, None]).any(0).mean()
    return float(precision), float(recall)


def jackknife_error(metric: Callable[[np.ndarray], tuple[float, ...]], n: int, groups: int = 10) -> np.ndarray:
    """Standard errors of metric(all of n), from leaving out one of `groups` runs of neighbouring images at a time.

    metric maps indices [m] to numbers. Image ids cycle through the classes, so a run of neighbours is balanced. A
    bootstrap would repeat images, which biases distances between sets.
    """
    everything = np.arange(n)
    left_out = np.array([metric(everything[everything * groups // n != g]) for g in range(groups)])
    return np.sqrt((groups - 1) / groups * ((left_out - left_out.mean(0)) ** 2).sum(0))
