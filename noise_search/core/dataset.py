"""Conditions: which class an image is asked to show is a function of its id alone."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Dataset:
    """names: of all classes; chosen: a list of class ids that the images draw on, None: all.

    sampling: "balanced", where image ids cycle through them, or "uniform", where each id draws its own by `seed`.

    labelled: kind of head -> () -> the images, uint8 [M, H, W, 3], and labels [M] that it is made from, for verifiers
    without a published head. published_heads: are these the classes that published ImageNet heads were trained for?
    """

    name: str
    names: Sequence[str]
    chosen: list[int] | None = None
    labelled: Mapping[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = field(default_factory=dict)
    published_heads: bool = False
    sampling: str = "balanced"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.chosen is not None and (not isinstance(self.chosen, list) or not self.chosen):
            raise ValueError(f"dataset.classes={self.chosen}: a list of class ids, or null for all")
        if self.sampling not in ("balanced", "uniform"):
            raise ValueError(f"dataset.sampling={self.sampling}: balanced or uniform")
        for k in self.chosen or ():
            if isinstance(k, bool) or not isinstance(k, int) or not 0 <= k < len(self.names):
                raise ValueError(f"dataset.classes: {k} is not a class id of {self.name}; 0 to {len(self.names) - 1}")

    def labels(self, ids: Sequence[int]) -> np.ndarray:
        """int64 [len(ids)]."""
        pool = np.array(self.chosen or range(len(self.names)), dtype=np.int64)
        if self.sampling == "uniform":
            return pool[[np.random.default_rng([self.seed, i]).integers(len(pool)) for i in ids]]
        return pool[np.asarray(ids, dtype=np.int64) % len(pool)]
