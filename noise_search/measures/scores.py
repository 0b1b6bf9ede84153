"""Metrics of a set of images that come from its features: kernel distance, inception score, precision and recall.

Beside each value stand the same without each of G groups of neighbouring images, as if it were measured anew, for a
jackknife: image ids cycle through the classes, so a run of neighbours is balanced. A bootstrap would repeat images,
which biases distances between sets.
"""

import itertools
from typing import NamedTuple

import numpy as np

from noise_search.measures.pairs import SIDE, Between, Within, between, group_cuts, within

GROUPS = 10  # of a jackknife
QUANTILE = 2.262157162798205  # of Student's t, 0.975, with GROUPS - 1 degrees of freedom


class Estimate(NamedTuple):
    """A number of a set, and float64 [G], without each group."""

    value: float
    left_out: np.ndarray

    def alone(self) -> "Estimate":
        """Without what an interval needs."""
        return Estimate(self.value, np.empty(0))


def kernel_distance(x: np.ndarray, y: np.ndarray, block: int = SIDE) -> float:
    """KID (Binkowski et al. 2018): squared MMD with kernel (x.y / D + 1)^3, unbiased; x [N, D], y [M, D], N, M >= 2.

    One estimate on all pairs rather than a mean over random subsets: no generator, and the least variance. float32
    features cost it about 1e-6 of the mean kernel.
    """
    real = within(y, side=block)
    samples = within(x, origin=real.origin, side=block)
    return kernel_distance_of(samples, real, between(samples, real)).value


def kernel_distance_of(x: Within, y: Within, both: Between) -> Estimate:
    """The kernel distance from sums of its kernel."""

    def distance(own: float, cross: float, n: int) -> float:
        return own / (n * (n - 1)) + real - 2 * cross / (n * m)

    n, m, sums = len(x.rows), len(y.rows), x.sums
    real = float(y.sums.sum()) / (m * (m - 1))
    own, cross = sums.sum(), both.sums.sum()
    rest = own - sums.sum(0) - sums.sum(1) + sums.diagonal(), cross - both.sums, n - x.sizes
    left_out = [distance(*out) for out in zip(*rest, strict=True)] if len(sums) > 1 else []
    return Estimate(float(distance(own, cross, n)), np.array(left_out))


def precision_recall(x: np.ndarray, y: np.ndarray, k: int = 3, groups: int = 1) -> tuple[Estimate, Estimate]:
    """Improved precision and recall (Kynkaanniemi et al. 2019) of samples x [N, D] against real images y [M, D].

    Precision: share of samples within some real image's k-nearest-neighbour ball; recall: the reverse. Both depend on
    N and M, so only values at equal N and equal M compare. Needs more than k images on either side, and in what is left
    without a group. Of float32 features, a sample on the very edge of a ball may fall on either side.
    """
    real = within(y, k)
    samples = within(x, k, groups, real.origin)
    return precision_recall_of(samples, between(samples, real))


def precision_recall_of(x: Within, both: Between) -> tuple[Estimate, Estimate]:
    """Precision and recall from who is in whose ball."""
    precise = np.add.reduceat(both.precise, group_cuts(len(x.rows), len(x.sums))[:-1], dtype=np.int64)
    recalled, some = both.recalled.mean(1), len(x.sums) > 1
    without = (precise.sum() - precise) / (len(x.rows) - x.sizes) if some else np.empty(0)
    return Estimate(float(both.precise.mean()), without), Estimate(
        float(recalled[0]), recalled[1:] if some else without
    )


def inception_score(probabilities: np.ndarray, splits: int = 1, shuffle: bool = False, groups: int = 1) -> Estimate:
    """exp(mean KL(p(class | image) || p(class))) of probabilities [N, classes]; from 1 to the number of classes.

    splits: the mean over so many runs of images, N >= splits; published values have 10. shuffle: in torch-fidelity's
    order (its seed 2020) first; ADM's evaluator keeps the order. Logarithms are taken once: without a group, sums are
    made again, or those of the groups are left out where there is one split.
    """
    p = np.clip(probabilities, 1e-16, None, dtype=np.float64)
    p /= p.sum(1, keepdims=True)
    own = np.concatenate([(q * np.log(q)).sum(1) for q in np.split(p, range(SIDE, len(p), SIDE))])
    cuts = group_cuts(len(p), groups)

    def score(total: np.ndarray, own: float, n: int) -> float:
        return float(np.exp(own / n - (total / n) @ np.log(total / n)))

    def mean(order: np.ndarray) -> float:
        if shuffle:
            order = order[np.random.RandomState(2020).permutation(len(order))]
        bounds = [i * len(order) // splits for i in range(splits + 1)]
        parts = [order[low:high] for low, high in itertools.pairwise(bounds)]
        return float(np.mean([score(p[part].sum(0), own[part].sum(), len(part)) for part in parts]))

    if splits > 1:
        value, left = mean(np.arange(len(p))), [np.r_[: cuts[g], cuts[g + 1] : len(p)] for g in range(groups)]
        return Estimate(value, np.array([mean(order) for order in left if groups > 1]))
    runs = [slice(low, high) for low, high in itertools.pairwise(cuts)]
    totals, owns = np.stack([p[run].sum(0) for run in runs]), np.array([own[run].sum() for run in runs])
    every, all_own = totals.sum(0), owns.sum()
    rest = [(every - totals[g], all_own - owns[g], len(p) - run.stop + run.start) for g, run in enumerate(runs)]
    left_out = [score(*one) for one in rest] if groups > 1 else []
    return Estimate(score(every, all_own, len(p)), np.array(left_out))


def half_width(left_out: np.ndarray) -> float:
    """Of a 95 % interval: Student's t with G - 1 degrees of freedom times the jackknife's standard error, from numbers
    [G] without each of G = 10 groups. So few groups know their own spread badly: a normal 1.96 covers too seldom."""
    groups = len(left_out)
    assert groups == GROUPS, groups
    return QUANTILE * float(np.sqrt((groups - 1) / groups * ((left_out - left_out.mean()) ** 2).sum()))
