"""What images are asked to show: a function of their ids alone."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from noise_search.core.source import Source
from noise_search.errors import Refused

IMAGENET = "imagenet1k"  # the class set that published heads were trained for


@dataclass(frozen=True)
class Dataset:
    """texts: of all conditions: class names, or prompts. chosen: a list of the conditions (numbers into texts) that the
    images draw on, None: all. class_set: whose classes they are ("imagenet1k", "cifar10"), which class-conditional
    models and classifiers know by their numbers; None: they are prompts.

    sampling: "balanced", where image ids cycle through them, or "uniform", where each id draws its own by `seed`.

    labelled: kind of head -> () -> the images, uint8 [M, H, W, 3], and labels [M] that it is made from, for verifiers
    without a published head.

    categories: one a text, where a benchmark has them: results are told by category too. sources: where its files come
    from. More images than conditions are several of each: image id i shows condition i mod n, with a noise of its own.
    """

    name: str
    texts: Sequence[str]
    chosen: list[int] | None = None
    labelled: Mapping[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = field(default_factory=dict)
    sampling: str = "balanced"
    seed: int = 0
    class_set: str | None = None
    categories: Sequence[str] = ()
    sources: Sequence[Source] = ()

    def __post_init__(self) -> None:
        if not len(self.texts):
            raise Refused(f"dataset {self.name} holds no conditions")
        if len(self.categories) not in (0, len(self.texts)):
            raise Refused(f"dataset {self.name}: {len(self.categories)} categories of {len(self.texts)} conditions")
        if self.chosen is not None and (not isinstance(self.chosen, list) or not self.chosen):
            raise Refused(f"dataset.classes={self.chosen}: a list of class ids, or null for all")
        if self.sampling not in ("balanced", "uniform"):
            raise Refused(f"dataset.sampling={self.sampling}: balanced or uniform")
        for k in self.chosen or ():
            if isinstance(k, bool) or not isinstance(k, int) or not 0 <= k < len(self.texts):
                raise Refused(f"dataset.classes: {k} is not a class id of {self.name}; 0 to {len(self.texts) - 1}")

    @property
    def classes(self) -> Sequence[str] | None:
        """Names of the classes; None where the conditions are none."""
        return None if self.class_set is None else self.texts

    @property
    def digest(self) -> str:
        """sha256 over all conditions, in hexadecimal: an edited list is another data set. ImageNet's classes are known
        by their numbers; what they are called comes from another package."""
        if self.class_set == IMAGENET:
            return "ImageNet-1k"
        return hashlib.sha256("\0".join(self.texts).encode()).hexdigest()

    def index(self, ids: Sequence[int]) -> np.ndarray:
        """int64 [len(ids)]: which condition each image is to show."""
        pool = np.array(self.chosen or range(len(self.texts)), dtype=np.int64)
        if self.sampling == "uniform":
            return pool[[np.random.default_rng([self.seed, i]).integers(len(pool)) for i in ids]]
        return pool[np.asarray(ids, dtype=np.int64) % len(pool)]
