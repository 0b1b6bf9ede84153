"""Metrics of a set of images that come from its features: kernel distance, inception score, precision and recall."""

from collections.abc import Callable

import numpy as np


def kernel_distance(x: np.ndarray, y: np.ndarray) -> float:
    """KID (Binkowski et al. 2018): squared MMD with kernel (x.y / D + 1)^3, unbiased; x [N, D], y [M, D], N, M >= 2.

    One estimate on all pairs rather than a mean over random subsets: no generator, and the least variance.
    """
    x, y, d = x.astype(np.float64), y.astype(np.float64), x.shape[1]

    def kernel(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / d + 1) ** 3

    def within(a: np.ndarray) -> float:
        k = kernel(a, a)
        return float((k.sum() - np.trace(k)) / (len(a) * (len(a) - 1)))

    return within(x) + within(y) - 2 * float(kernel(x, y).mean())


def inception_score(probabilities: np.ndarray) -> float:
    """exp(mean KL(p(class | image) || p(class))), one split; probabilities [N, classes]; 1 to the number of classes."""
    p = np.clip(probabilities.astype(np.float64), 1e-16, None)
    p /= p.sum(1, keepdims=True)
    return float(np.exp((p * (np.log(p) - np.log(p.mean(0)))).sum(1).mean()))


def _distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:  # [N, D], [M, D] -> [N, M], squared
    return np.maximum((x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T, 0)


def precision_recall(x: np.ndarray, y: np.ndarray, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al. 2019) of samples x against real images y, both cut to as many.

    Precision: share of samples within some real image's k-nearest-neighbour ball; recall: the reverse. Needs more
    than k images on either side.
    """
    n = min(len(x), len(y))
    x, y = x[:n].astype(np.float64), y[:n].astype(np.float64)

    def radii(a: np.ndarray) -> np.ndarray:  # squared distance to the k-th neighbour; index 0 is the image itself
        return np.partition(_distances(a, a), k, axis=1)[:, k]

    between = _distances(x, y)
    precision = (between <= radii(y)[None, :]).any(1).mean()
    recall = (between <= radii(x)[:, None]).any(0).mean()
    return float(precision), float(recall)


def jackknife(value: Callable[[np.ndarray], float], n: int, groups: int = 10) -> tuple[float, float]:
    """95 % interval of value(all of n) from leaving out one of `groups` equal groups of images at a time.

    value maps indices [m] to a number. A bootstrap would repeat images, which biases distances between sets.
    """
    everything = np.arange(n)
    left_out = np.array([value(everything[everything % groups != g]) for g in range(groups)])
    error = np.sqrt((groups - 1) / groups * ((left_out - left_out.mean()) ** 2).sum())
    centre = value(everything)
    return centre - 1.96 * float(error), centre + 1.96 * float(error)
