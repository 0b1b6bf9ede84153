"""The usual metrics of a set of images, for a judge's list. Shapes: features [N, D], index [N], reference [M, D']."""

from collections.abc import Callable

import numpy as np

from noise_search.measures.frechet import Gaussian, frechet_distance
from noise_search.measures.judge import Space
from noise_search.measures.metric import Metric, Value, mean_of, of_set, once
from noise_search.measures.scores import GROUPS, inception_score, kernel_distance, precision_recall, spread

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
        return Value(frechet_distance(Gaussian.of(features[:, space.columns]), space.gaussian))

    return Metric(name, title, short, "lower", space.network, space.reference, of_set=distance, biased=True)


def kernel_metric(main: Space, reference: Real, reference_name: str) -> Metric:
    def distance(features: np.ndarray, index: np.ndarray) -> Value:
        x = features[:, main.columns]
        return of_set(lambda chosen: kernel_distance(x[chosen], reference()), len(x), 2)

    title = "kernel distance (KID)"
    return Metric("kernel_distance", title, "KID", "lower", main.network, reference_name, of_set=distance)


def class_metrics(
    probabilities: Probabilities, probe: str, columns_of: np.ndarray | None, splits: int = 1, shuffle: bool = False
) -> list[Metric]:
    """Inception score, and class accuracy where it is known which of the probe's columns is which class.

    splits, shuffle: of the inception score (`measures.scores`).
    """
    seen = once(probabilities)

    def score(features: np.ndarray, index: np.ndarray) -> Value:
        p = seen(features)
        return of_set(lambda chosen: inception_score(p[chosen], splits, shuffle), len(p), splits)

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
    return [
        *class_metrics(probabilities, probe, classes),
        kernel_metric(main, reference, reference_name),
        frechet_metric(main),
        *precision_recall_metrics(main, reference, reference_name),
    ]


def precision_recall_metrics(main: Space, reference: Real, reference_name: str, equal: bool = True) -> list[Metric]:
    """Both from one computation. equal: of as many samples as real images, the first of each; else of all of both, as
    published. Between other counts the numbers are others: a number tells both."""

    @once
    def both(features: np.ndarray) -> list[Value]:
        if len(features) <= NEIGHBOURS:
            return [Value(), Value()]
        x, y = features[:, main.columns], reference()
        if equal:
            x, y = x[: len(y)], y[: len(x)]
        groups = GROUPS if len(x) >= 10 * (NEIGHBOURS + 1) else 0  # fewer: no interval
        values, left_out = precision_recall(x, y, NEIGHBOURS, groups)
        if not groups:
            return [Value(v, images=len(x), real=len(y)) for v in values]
        half = (1.96 * spread(left_out)).tolist()
        return [Value(v, max(0.0, v - h), min(1.0, v + h), len(x), len(y)) for v, h in zip(values, half, strict=True)]

    def one(which: int, name: str) -> Metric:
        def value(features: np.ndarray, index: np.ndarray) -> Value:
            return both(features)[which]

        return Metric(name, name, name, "higher", main.network, reference_name, of_set=value)

    return [one(0, "precision"), one(1, "recall")]
