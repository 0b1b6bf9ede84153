"""Oracle FID: choose, image by image, what lowers the Frechet distance of the whole set (paper, section 3.1, figure 3).

An eigen-decomposition for every candidate would be out of reach. But replacing one image changes the covariance by a
matrix of rank two, and what that does to the distance has a closed form given one decomposition of the set, which is
frozen between commits. It is exact: a first-order estimate overrates what is new to a set smaller than its features
are wide, whose covariance is singular, and made the distance of such a set grow.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from noise_search.core.checks import require
from noise_search.core.population import Population
from noise_search.core.verifier import Candidates, Surroundings
from noise_search.measures.frechet import Gaussian
from noise_search.measures.judge import Judge
from noise_search.measures.statistics import Statistics

if TYPE_CHECKING:
    from torch import Tensor

STEP = 0.5  # of the integral's logarithmic grid: its error falls as exp(-pi^2 / STEP)


class Exchange(NamedTuple):
    """A set of n images with covariance S, against a reference with covariance L L^T, as `change` needs them.

    mean [D]; shift [D]: mean - the reference's; basis [D, D]: L V and values [D], with V diag(values) V^T = L^T S L.
    """

    n: int
    mean: np.ndarray
    shift: np.ndarray
    basis: np.ndarray
    values: np.ndarray

    @classmethod
    def of(cls, current: Statistics, reference: Gaussian) -> Exchange:
        """One eigen-decomposition."""
        values, vectors = np.linalg.eigh(reference.factor.T @ current.covariance @ reference.factor)
        mean = current.mean
        return cls(current.n, mean, mean - reference.mean, reference.factor @ vectors, np.clip(values, 0, None))

    def change(self, old: np.ndarray, new: np.ndarray) -> np.ndarray:
        """What the Frechet distance changes by, exactly, when an image of the set, with features old [..., D], makes
        way for one with features new [..., D] -> [...]. Cost O(D^2).

        With a, b = new, old - mean, (n - 1) S moves by a a^T - b b^T - (a - b)(a - b)^T / n. For Tr (L^T S L)^(1/2):
        x^(1/2) is an integral of log(x + s) up to terms that no x moves, and the change of log det(L^T S L + s) is the
        logarithm of a 2 x 2 determinant, here 1 + grown.
        """
        n = self.n
        a, b = new.astype(np.float64) - self.mean, old.astype(np.float64) - self.mean
        step = (a - b) / n
        means = (step * (2 * self.shift + step)).sum(-1)
        traces = ((a * a).sum(-1) - (b * b).sum(-1) - n * (step * step).sum(-1)) / (n - 1)
        top = max(self.values[-1], np.finfo(float).tiny)
        roots = np.exp(np.arange(np.log(1e-7), np.log(1e8), STEP)) * top**0.5  # s^(1/2); what is beyond adds nothing
        inverse = 1 / (self.values[:, None] + roots**2) / (n - 1)  # [D, nodes]
        za, zb = a @ self.basis, b @ self.basis
        aa, ab, bb = (za * za) @ inverse, (za * zb) @ inverse, (zb * zb) @ inverse
        grown = (1 - 1 / n) * aa + 2 / n * ab - (1 + 1 / n) * bb - (aa * bb - ab * ab)
        grown = np.maximum(
            grown, 1e-9 - 1
        )  # rounding may pass -1 in a singular set, where s is smallest and counts least
        return means + traces - 2 * STEP / np.pi * (np.log1p(grown) @ roots)


@dataclass(eq=False)
class OracleFID(Population):
    """Greedy against the judge's population statistics; with random search only, one set of images for each budget.

    Candidate 0 of every image is made first and makes up the first set; a chosen candidate replaces its image's own,
    so the set keeps its size. images: how many the run makes (its result depends on that). share: of the images that
    choose against one frozen set; the choices of each group, a fixed range of ids, are committed before the next.

    Its columns are the features themselves, which all budgets share; a candidate's worth at a budget is how far it
    lowers that budget's distance in the place of candidate 0. Changes of different sets are not comparable, so no score
    is reported: it has no members.

    Memory: the features of a group's candidates, float32, and while a round is added a second time; 4.2 GB in all for
    1,000 images with 256 candidates of 2,048 features. They are compared an image at a time.
    """

    images: int
    share: float = 0.02

    members = ()
    needs_judge = True

    def __post_init__(self) -> None:
        why = "above 0, at most 0.02: larger groups choose against stale statistics"
        require("share", self.share, 0 < self.share <= 0.02, why)
        require("images", self.images, self.images >= 2, "a distance needs at least 2")
        self.group = max(1, int(self.images * self.share))
        self.exchanges: dict[int, Exchange] = {}

    def load(self, into: Surroundings) -> OracleFID:
        judge: Judge = into.judge
        self.judge, self.name, self.weights = judge, f"oracle FD ({judge.network})", judge.weights
        return self

    @property
    def columns(self) -> int:
        return len(self.judge.main.gaussian.mean)

    def scores(self, candidates: Candidates) -> Tensor:
        import torch

        from noise_search.core.images import tensor_to_images

        b, k = candidates.images.shape[:2]
        features = self.judge.features(tensor_to_images(candidates.images.flatten(0, 1)))[:, self.judge.main.columns]
        return torch.from_numpy(np.ascontiguousarray(features)).view(b, k, -1).to(candidates.condition.device)

    def combine(self, scores: Tensor, point: int) -> Tensor:
        import torch

        exchange, features = self.exchanges[point], scores.cpu().numpy()
        each = [exchange.change(own[:, :1], own) for own in np.split(features, len(features))]  # bounds the memory
        return torch.from_numpy(-np.concatenate(each)).float().to(scores.device)

    def shown(self, scores: Tensor) -> Tensor:
        return scores[..., :0]

    def against(self, memory: dict[int, Statistics]) -> OracleFID:
        """This verifier, frozen at the sets of `memory`: point -> statistics."""
        frozen = copy.copy(self)
        frozen.exchanges = {point: Exchange.of(s, self.judge.main.gaussian) for point, s in memory.items()}
        return frozen

    def begin(self, features: np.ndarray, points: Sequence[int]) -> dict[int, Statistics]:
        """The memory of sets in which every image has its candidate 0, with features [images, D]."""
        statistics = Statistics.of(features, self.judge.main.gaussian.mean)
        return dict.fromkeys(points, statistics)

    def commit(
        self, memory: dict[int, Statistics], old: np.ndarray, chosen: dict[int, np.ndarray]
    ) -> dict[int, Statistics]:
        """Replace a group's features old [group, D] by chosen[point] [group, D] in every set."""
        origin = self.judge.main.gaussian.mean
        return {p: s - Statistics.of(old, origin) + Statistics.of(chosen[p], origin) for p, s in memory.items()}
