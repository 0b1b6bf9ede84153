"""What a judge says of images: a metric of a set, from features, or of every image by itself, from its pixels."""

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np

from noise_search.errors import Refused
from noise_search.measures.scores import Estimate, half_width

T = TypeVar("T")
BETTER = ("higher", "lower", "")  # "": not known
SCORES = {  # of a verifier, told beside a judge's metrics: name -> title and short
    "score": ("verifier score of the search pass", "score"),
    "score_final": ("verifier score of the final image", "score"),
    "score_final_gain": ("gain in final verifier score over the first budget", "gain"),
}


@dataclass(frozen=True)
class Value:
    """value, 95 % interval; None where there is none: too few images, or an interval the metric does not allow.

    images: how many of the set it has seen; None: all. real: against how many of the reference's, where it matters.
    left_out: without each group of a jackknife, where there is one.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    images: int | None = None
    real: int | None = None
    left_out: tuple[float, ...] = field(default=(), compare=False, repr=False)


@dataclass(frozen=True)
class Metric:
    """name: of its rows and figures. title, short: above a figure, and beside its axis. better: "higher" or "lower".

    network, reference: what it looks through and at, as they stand beside every number. One of the three:
    of_set: (the judge's features float32 [N, D], index int64 [N]) -> the number of the set, with its interval;
    of_images: (uint8 [N, H, W, 3], index int64 [N]) -> float [N], one number an image, whose mean is told. It is
    called when an image is rendered, and its numbers are stored with it;
    of_texts: (uint8 [N, H, W, 3], the N texts that they are to show) -> float [N]: of images too, once it is `told`
    what the numbers of an index stand for. None of them: a name for numbers made elsewhere.
    index: the dataset's, class ids where it has classes. needs_classes: does it want those? biased: is its number
    another one for fewer images? weights: file name -> sha256 of what it has loaded.
    """

    name: str
    title: str
    short: str
    better: str
    network: str = ""
    reference: str = ""
    of_set: Callable[[np.ndarray, np.ndarray], Value] | None = None
    of_images: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    of_texts: Callable[[np.ndarray, Sequence[str]], np.ndarray] | None = None
    needs_classes: bool = False
    biased: bool = False
    weights: dict[str, str] = field(default_factory=dict)

    def load(self, device: str) -> "Metric":
        """Of a metric that is still to be loaded (`MetricSettings`): the metric. This one is."""
        return self

    def __post_init__(self) -> None:
        if self.better not in BETTER:
            raise Refused(f"metric {self.name}: better={self.better!r}: higher or lower")
        if sum(map(bool, (self.of_set, self.of_images, self.of_texts))) > 1:
            raise Refused(f"metric {self.name}: of_set, of_images or of_texts, one of them")

    def told(self, texts: Sequence[str]) -> "Metric":
        """This metric where the conditions are `texts`."""
        if (of_texts := self.of_texts) is None:
            return self

        def of_images(images: np.ndarray, index: np.ndarray) -> np.ndarray:
            return of_texts(images, [texts[k] for k in index.tolist()])

        return replace(self, of_images=of_images, of_texts=None)


@runtime_checkable
class MetricSettings(Protocol):
    """What is known of a metric before its networks are loaded. A `Metric` without any is its own settings."""

    @property
    def name(self) -> str: ...
    @property
    def needs_classes(self) -> bool: ...
    def load(self, device: str) -> Metric: ...


def mean_of(values: np.ndarray) -> Value:
    """The mean over images with its normal 95 % interval; missing values leave it empty."""
    if not len(values) or not np.isfinite(values).all():
        return Value()
    mean = float(values.mean())
    if len(values) < 2:
        return Value(mean)
    half = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return Value(mean, mean - half, mean + half)


def with_interval(estimate: Estimate, images: int | None = None, real: int | None = None) -> Value:
    """A number of a set with its jackknife interval, where groups were left out. images, real: as of `Value`."""
    value, left_out = estimate
    half = half_width(left_out) if len(left_out) else None
    low, high = (None, None) if half is None else (value - half, value + half)
    return Value(value, low, high, images, real, tuple(left_out.tolist()))


def once(measure: Callable[[np.ndarray], T]) -> Callable[[np.ndarray], T]:
    """measure(features), remembered as long as those features live: metrics that share it cost it once a set."""
    slot: list[tuple[weakref.ref, T]] = []

    def remembered(features: np.ndarray) -> T:
        if not slot or slot[0][0]() is not features:
            value = measure(features)
            slot[:] = [(weakref.ref(features, lambda _: slot.clear()), value)]
        return slot[0][1]

    return remembered


def measures_of(metrics: Iterable[Metric], images: np.ndarray, index: np.ndarray) -> np.ndarray:
    """float64 [N, metrics of images]: what those among `metrics` say of images uint8 [N, H, W, 3], in their order."""
    columns = []
    for metric in metrics:
        assert metric.of_texts is None, f"{metric.name} was not told the texts"
        if metric.of_images is None:
            continue
        values = np.asarray(metric.of_images(images, index), np.float64)
        if values.shape != (len(images),):
            raise Refused(f"metric {metric.name}: of {len(images)} images it made numbers {list(values.shape)}")
        columns.append(values)
    return np.stack(columns, 1) if columns else np.empty((len(images), 0))
