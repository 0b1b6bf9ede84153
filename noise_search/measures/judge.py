"""Judges: a feature network and the metrics it serves. What selects must not judge: no verifier uses these networks."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from noise_search.core.source import Source
from noise_search.errors import Refused
from noise_search.measures.frechet import Gaussian
from noise_search.measures.metric import SCORES, Metric, MetricSettings

Features = Callable[[np.ndarray], np.ndarray]  # uint8 [N, H, W, 3] -> float32 [N, D]


class Space(NamedTuple):
    """Features that a Frechet distance is taken in: which columns, the real images' statistics there, whose they are,
    and the network's name."""

    columns: slice
    gaussian: Gaussian
    reference: str
    network: str


class JudgeSettings(ABC):
    """What is known of a judge before its networks are loaded.

    class_set: whose classes its metrics and oracle IS know (`Dataset.class_set`); None: none. needing_classes: names of
    the metrics that want classes. export_npz: are the images of every budget wanted as ADM's .npz? sources: where its
    files come from.
    """

    class_set: str | None = None
    needing_classes: Sequence[str] = ()
    export_npz: bool = False
    sources: Sequence[Source] = ()

    @abstractmethod
    def load(self, device: str) -> "Judge":
        """The judge, its networks on `device`."""


@dataclass(frozen=True)
class Judge:
    """network, probe: names as they stand beside every number.

    features: uint8 [N, H, W, 3] -> float32 [N, D]. probabilities: features -> [N, classes], of the probe that the
    inception score uses. main: the space in which kernel distance, precision and recall are measured, and that oracle
    FID looks at. metrics: all that is told of a set, in the order of the curve's rows. heldout: n -> that many real
    images that are in no reference, uint8 [n, h, w, 3], and their labels, for the floor of every metric; None if fewer
    are at hand. columns_of: class id -> its column among the probe's classes; None: not known, so no oracle IS.
    weights: file name -> sha256. identity: a digest of all that features depend on, beside images, libraries and
    device, so that those of real images are kept; "": they are made in every run.
    """

    network: str
    probe: str
    features: Features
    probabilities: Callable[[np.ndarray], np.ndarray]
    main: Space
    metrics: Sequence[Metric] = ()
    heldout: Callable[[int], tuple[np.ndarray, np.ndarray] | None] = lambda n: None
    heldout_name: str = ""
    showing: Callable[[Sequence[str]], Callable[[int], tuple[np.ndarray, np.ndarray] | None]] | None = None
    columns_of: np.ndarray | None = None
    weights: dict[str, str] = field(default_factory=dict)
    identity: str = ""

    def with_metrics(self, more: Sequence[Metric]) -> "Judge":
        """This judge with further metrics, which are told last."""
        names = {metric.name for metric in self.metrics}
        for metric in more:
            if metric.name in names or metric.name.split("/")[0] in SCORES:
                raise Refused(f"more_metrics: {metric.name} is told already")
            if not (metric.of_set or metric.of_images or metric.of_texts):
                raise Refused(f"more_metrics: {metric.name} measures nothing: no of_set, of_images or of_texts")
            names.add(metric.name)
        weights = {file: digest for metric in more for file, digest in metric.weights.items()}
        return replace(self, metrics=(*self.metrics, *more), weights=self.weights | weights)

    def told(self, texts: Sequence[str]) -> "Judge":
        """This judge where the conditions are `texts`: without, its metrics of texts cannot be taken."""
        heldout = self.heldout if self.showing is None else self.showing(texts)
        return replace(self, metrics=[metric.told(texts) for metric in self.metrics], heldout=heldout)


def load_judge(
    settings: JudgeSettings, device: str, texts: Sequence[str], more: Iterable[MetricSettings] = ()
) -> Judge:
    """The judge with further metrics, their networks on `device`, told what the conditions are called."""
    return settings.load(device).with_metrics([metric.load(device) for metric in more]).told(texts)
