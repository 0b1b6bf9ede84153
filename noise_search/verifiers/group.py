"""A score and what a set of images lacks: quality plus pairwise diversity, as in group inference."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np

from noise_search.core.checks import require, whole
from noise_search.core.population import Population
from noise_search.core.verifier import Candidates, Several, Surroundings, Verifier

if TYPE_CHECKING:
    from torch import Tensor


@runtime_checkable
class Seeing(Protocol):
    """A verifier that makes features of images [N, 3, H, W], [N, width], once it is loaded."""

    width: int

    def features(self, images: Tensor) -> Tensor: ...


class Sets(NamedTuple):
    """counts: condition -> how many images have it; sums: point -> condition -> float64 [D], the sum of their features
    in the set of that point."""

    counts: dict[int, int]
    sums: dict[int, dict[int, np.ndarray]]


class Group(Several, Population):
    """A candidate is worth its `quality` plus `weight` times its mean distance, 1 - cosine of features, to the images
    of the same condition that are chosen so far; of those still to choose, candidate 0 stands there.

    eyes: whose features: a verifier with `features`, not the judge's network. weight: in quality's units; distances
    are 0 to 2. group: how many images of consecutive ids choose against one set; where the data set goes round its
    conditions, at most as many as it has, so that no two of a condition choose at once. An image alone with its
    condition is worth its quality. Columns: quality, the condition's number, features of norm 1. Reported: quality.
    With random search only.
    Cost: one forward of `eyes` an image more.
    """

    members = ("",)

    def __init__(self, quality: Verifier, eyes: Verifier, weight: float, group: int = 10) -> None:
        one = isinstance(quality, Verifier) and len(quality.members) == 1
        require("quality", quality, one, "a verifier with one score")
        require("eyes", eyes, isinstance(eyes, Verifier) and hasattr(type(eyes), "width"), "a verifier with features")
        require("weight", weight, weight >= 0, "at least 0 (quality alone)")
        require("group", group, whole(group) and group >= 1, "at least 1")
        super().__init__({"quality": quality, "eyes": eyes})
        self.needs, self.weight, self.group = quality.needs, weight, group
        self.sets = Sets({}, {})

    def load(self, into: Surroundings) -> Group:
        super().load(into)
        self.name = f"{self.parts['quality'].name} and diversity ({self.parts['eyes'].name})"
        return self

    @property
    def networks(self) -> tuple[str, ...]:
        return self.parts["quality"].networks

    @property
    def columns(self) -> int:
        return 2 + self.eyes.width

    @property
    def eyes(self) -> Seeing:
        eyes = self.parts["eyes"]
        assert isinstance(eyes, Seeing)
        return eyes

    def scores(self, candidates: Candidates) -> Tensor:
        import torch
        from torch.nn import functional as F

        b, k = candidates.images.shape[:2]
        quality = self.parts["quality"].score(candidates)[..., None]
        seen = F.normalize(self.eyes.features(candidates.images.flatten(0, 1)).float(), dim=1).view(b, k, -1)
        return torch.cat([quality, candidates.condition.view(b, 1, 1).expand(b, k, 1), seen], 2)

    def combine(self, scores: Tensor, point: int) -> Tensor:
        import torch

        columns = scores.cpu().numpy().astype(np.float64)
        worth = columns[..., 0].copy()
        for row, image in zip(worth, columns, strict=True):
            condition, seen = int(image[0, 1]), image[:, 2:]
            if others := self.sets.counts[condition] - 1:
                mean = (self.sets.sums[point][condition] - seen[0]) / others  # candidate 0 is its own place in the set
                row += self.weight * (1 - seen @ mean)
        return torch.from_numpy(worth).float().to(scores.device)

    def shown(self, scores: Tensor) -> Tensor:
        return scores[..., :1]

    def against(self, memory: Sets) -> Group:
        frozen = copy.copy(self)
        frozen.sets = memory
        return frozen

    def begin(self, features: np.ndarray, points: Sequence[int]) -> Sets:
        conditions, counts = np.unique(features[:, 1].astype(int), return_counts=True)
        known = dict(zip(conditions.tolist(), counts.tolist(), strict=True))
        return Sets(known, dict.fromkeys(points, sums_of(features)))

    def commit(self, memory: Sets, old: np.ndarray, chosen: dict[int, np.ndarray]) -> Sets:
        sums, gone = dict(memory.sums), sums_of(old)
        for point, features in chosen.items():
            come = sums_of(features)
            sums[point] = {c: total - gone[c] + come[c] if c in come else total for c, total in sums[point].items()}
        return memory._replace(sums=sums)


def sums_of(columns: np.ndarray) -> dict[int, np.ndarray]:
    """Columns [N, 2 + D] of images -> condition -> float64 [D], the sum of their features."""
    conditions = columns[:, 1].astype(int)
    return {int(c): columns[conditions == c, 2:].sum(0, dtype=np.float64) for c in np.unique(conditions)}
