"""The usual metrics of a set of images, for a judge's list. Shapes: features [N, D], index [N], reference [M, D']."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from noise_search.measures.frechet import frechet_distance_of
from noise_search.measures.judge import Space
from noise_search.measures.metric import Metric, Value, mean_of, once, with_interval
from noise_search.measures.pairs import Within, between, within
from noise_search.measures.scores import (
    GROUPS,
    Estimate,
    inception_score,
    kernel_distance_of,
    precision_recall_of,
)

NEIGHBOURS = 3  # of precision and recall
Probabilities = Callable[[np.ndarray], np.ndarray]  # features -> [N, classes]
Real = Callable[[], np.ndarray]  # () -> the main features of real images


def frechet_metric(
    space: Space, name: str = "frechet_distance", title: str = "Frechet distance", short: str = "FD"
) -> Metric:
    """Without an interval: over one set of images an honest one would have to come from seeds."""

    def distance(features: np.ndarray, index: np.ndarray) -> Value:
        if len(features) < 2:
            return Value()
        return Value(frechet_distance_of(features[:, space.columns], space.gaussian))

    return Metric(name, title, short, "lower", space.network, space.reference, of_set=distance, biased=True)


def class_metrics(
    probabilities: Probabilities, probe: str, columns_of: np.ndarray | None, splits: int = 1, shuffle: bool = False
) -> list[Metric]:
    """Inception score, and class accuracy where it is known which of the probe's columns is which class.

    splits, shuffle: of the inception score (`measures.scores`).
    """
    seen = once(probabilities)

    def score(features: np.ndarray, index: np.ndarray) -> Value:
        if len(features) < splits:
            return Value()
        return with_interval(inception_score(seen(features), splits, shuffle, groups_of(len(features), splits)))

    out = [Metric("inception_score", "inception score", "IS", "higher", probe, of_set=score)]
    if columns_of is not None:
        columns = columns_of

        def accuracy(features: np.ndarray, index: np.ndarray) -> Value:
            return mean_of((seen(features).argmax(1) == columns[index]).astype(np.float64))

        title = "images given their own class"
        out.append(Metric("class_accuracy", title, "share", "higher", probe, of_set=accuracy, needs_classes=True))
    return out


def usual_metrics(
    probabilities: Probabilities, probe: str, classes: np.ndarray, main: Space, reference: Real, reference_name: str
) -> list[Metric]:
    """All of these, in the order of the embedded judges; classes: class id -> the probe's column."""
    compared = Comparison(main, reference)
    return [
        *class_metrics(probabilities, probe, classes),
        kernel_metric(compared, reference_name),
        frechet_metric(main),
        *precision_recall_metrics(compared, reference_name),
    ]


def groups_of(n: int, needed: int) -> int:
    """Into how many groups n images are cut for an interval: one, and so none, below ten times what a number needs."""
    return GROUPS if n >= 10 * needed else 1


class Pairs(NamedTuple):
    """What all pairs of N samples and M real images give."""

    kernel: Estimate
    precision: Estimate
    recall: Estimate
    counts: dict[str, int]


class Comparison:
    """What kernel distance, precision and recall of a judge share: one product of samples with real images.

    main: whose columns are seen. reference: () -> the real images' main features, always the same array.
    """

    def __init__(self, main: Space, reference: Real) -> None:
        self.main, self.reference = main, reference
        self.real = once(lambda y: within(y, NEIGHBOURS))
        self.all = once(lambda features: self.pairs(features, self.real(reference())))
        self.as_many = once(self.cut)

    def pairs(self, features: np.ndarray, y: Within) -> Pairs:
        n = len(features)
        x = within(features[:, self.main.columns], NEIGHBOURS, groups_of(n, 2), y.origin)
        both = between(x, y)
        shares = precision_recall_of(x, both)
        if groups_of(n, NEIGHBOURS + 1) == 1:  # enough for an interval of the kernel distance only
            shares = shares[0].alone(), shares[1].alone()
        return Pairs(kernel_distance_of(x, y, both), *shares, {"images": n, "real": len(y.rows)})

    def cut(self, features: np.ndarray) -> Pairs:
        """Of as many samples as real images, the first of each."""
        y = self.reference()
        n = min(len(features), len(y))
        if n == len(features) == len(y):
            return self.all(features)
        return self.pairs(features[:n], within(y[:n], NEIGHBOURS))


def kernel_metric(compared: Comparison, reference_name: str) -> Metric:
    def distance(features: np.ndarray, index: np.ndarray) -> Value:
        return with_interval(compared.all(features).kernel) if len(features) >= 2 else Value()

    title = "kernel distance (KID)"
    return Metric("kernel_distance", title, "KID", "lower", compared.main.network, reference_name, of_set=distance)


def precision_recall_metrics(compared: Comparison, reference_name: str, equal: bool = True) -> list[Metric]:
    """equal: of as many samples as real images, the first of each; else of all of both, as published. Between other
    counts the numbers are others: a number tells both."""

    def one(name: str) -> Metric:
        def value(features: np.ndarray, index: np.ndarray) -> Value:
            if len(features) <= NEIGHBOURS:
                return Value()
            found = compared.as_many(features) if equal else compared.all(features)
            told = with_interval(found.precision if name == "precision" else found.recall, **found.counts)
            if told.low is None or told.high is None:
                return told
            return replace(told, low=max(0.0, told.low), high=min(1.0, told.high))

        return Metric(name, name, name, "higher", compared.main.network, reference_name, of_set=value)

    return [one("precision"), one("recall")]
