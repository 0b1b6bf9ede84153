"""A verifier that looks at the whole set of images: what it wants is a mean image of one even grey."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from noise_search.core.checks import require
from noise_search.core.population import Population
from noise_search.core.verifier import Candidates

if TYPE_CHECKING:  # a plan is made without torch
    from torch import Tensor


@dataclass(eq=False)
class MeanImage(Population):
    """Greedy: an image takes the candidate that brings the mean of the whole set nearest to `target`.

    images: how many the run makes; every choice depends on that, so it is a setting, ${images} in the YAML. target:
    -1 black to 1 white. grid: a candidate's features are its means over grid x grid patches in each colour, [D] with
    D = 3 grid^2. group: images that choose against one mean; above 1 is faster, and they may overshoot together.

    The distances of different sets are not comparable, so no score is reported: it has no members. No network, no rows
    of its own; a choice costs O(D) a candidate.
    """

    images: int
    target: float = 0.0
    grid: int = 2
    group: int = 1

    name = "mean image"
    members = ()

    def __post_init__(self) -> None:
        require("target", self.target, -1 <= self.target <= 1, "from -1 (black) to 1 (white)")
        require("grid", self.grid, self.grid >= 1, "at least 1")
        require("group", self.group, self.group >= 1, "at least 1")
        self.weights = {}
        self.means: dict[int, np.ndarray] = {}

    @property
    def columns(self) -> int:
        return 3 * self.grid**2

    def scores(self, candidates: Candidates) -> Tensor:
        """Features [B, K, D]."""
        from torch.nn.functional import adaptive_avg_pool2d

        images = candidates.images.float().clamp(-1, 1)
        return adaptive_avg_pool2d(images.flatten(0, 1), self.grid).flatten(1).unflatten(0, images.shape[:2])

    def combine(self, scores: Tensor, point: int) -> Tensor:
        """Minus the distance of the set's mean from the target, with each candidate in the place of its image's
        candidate 0."""
        features = scores.double()
        means = features.new_tensor(self.means[point]) + (features - features[:, :1]) / self.images  # [B, K, D]
        return -(means - self.target).norm(dim=2)

    def shown(self, scores: Tensor) -> Tensor:
        return scores[..., :0]

    def begin(self, features: np.ndarray, points: Sequence[int]) -> dict[int, np.ndarray]:
        """The memory: the mean [D] of each point's set."""
        require("images", self.images, self.images == len(features), f"{len(features)}, as the run's")
        return dict.fromkeys(points, features.mean(0, dtype=np.float64))

    def against(self, memory: dict[int, np.ndarray]) -> MeanImage:
        frozen = copy.copy(self)
        frozen.means = memory
        return frozen

    def commit(
        self, memory: dict[int, np.ndarray], old: np.ndarray, chosen: dict[int, np.ndarray]
    ) -> dict[int, np.ndarray]:
        moves = {point: (new - old).sum(0, dtype=np.float64) / self.images for point, new in chosen.items()}
        return {point: mean + moves[point] for point, mean in memory.items()}
