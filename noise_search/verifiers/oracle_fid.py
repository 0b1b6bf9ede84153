"""Oracle FID: choose, image by image, what lowers the Frechet distance of the whole set (paper, section 3.1, figure 3).

An exact distance for every candidate would be an eigen-decomposition each. Instead candidates are scored by the first
variation of the distance, which is a quadratic function of one image's features and frozen between commits.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from noise_search.metrics.frechet import Gaussian
from noise_search.metrics.judges import Judge, tensor_to_images
from noise_search.metrics.statistics import Statistics
from noise_search.verifiers.base import Candidates, Verifier


class Potential(NamedTuple):
    """The first variation of the distance at features f [D]: f . linear + (f - mean)^T quadratic (f - mean)."""

    mean: np.ndarray
    linear: np.ndarray
    quadratic: np.ndarray

    def of(self, features: np.ndarray) -> np.ndarray:
        """features [..., D] -> [...]; lower is better."""
        x = features.astype(np.float64)
        away = x - self.mean
        return x @ self.linear + ((away @ self.quadratic) * away).sum(-1)


def first_variation(current: Gaussian, reference: Gaussian, eps: float) -> Potential:
    """The gradient of the Frechet distance in mean and covariance, taken at covariance + eps I.

    With L L^T the reference's covariance: 2 (mean - mean_r) and I - L (L^T S L)^(-1/2) L^T. One eigen-decomposition.
    """
    d = len(current.mean)
    root = reference.factor
    values, vectors = np.linalg.eigh(root.T @ (current.covariance + eps * np.eye(d)) @ root)
    inverse = (vectors / np.sqrt(np.clip(values, 1e-300, None))) @ vectors.T
    return Potential(current.mean, 2 * (current.mean - reference.mean), np.eye(d) - root @ inverse @ root.T)


class OracleFID(Verifier):
    """Greedy against the judge's population statistics; with random search only, one set of images for each budget.

    Candidate 0 of every image is made first and makes up the first set; a chosen candidate replaces its image's own,
    so the set keeps its size. images: how many the run makes (its result depends on that). share: of the images that
    choose against one frozen set; the choices of each group, a fixed range of ids, are committed before the next.
    eps: added to the set's covariance, as a share of the mean variance of the reference (a small set's is singular).

    Its columns are the features themselves, which all budgets share; candidates are compared by minus the potential of
    their budget. Potentials of different sets are not comparable, so no score is reported: it has no members.
    """

    members = ()

    def __init__(self, judge: Judge, images: int, share: float = 0.02, eps: float = 1e-3) -> None:
        if not 0 < share <= 0.02:
            raise ValueError(
                f"verifier.share={share}: above 0, at most 0.02: larger groups choose against stale statistics"
            )
        if not 0 < eps < 1:
            raise ValueError(f"verifier.eps={eps}: between 0 and 1, ends excluded")
        if images < 2:
            raise ValueError(f"verifier=oracle_fid: images={images}; a distance needs at least 2")
        self.judge, self.images, self.name, self.weights = judge, images, f"oracle FD ({judge.network})", judge.weights
        self.group = max(1, int(images * share))
        self.eps = eps * float(np.trace(judge.main.gaussian.covariance)) / len(judge.main.gaussian.mean)
        self.potentials: dict[int, Potential] = {}

    @property
    def columns(self) -> int:
        return len(self.judge.main.gaussian.mean)

    def scores(self, candidates: Candidates) -> Tensor:
        b, k = candidates.images.shape[:2]
        features = self.judge.features(tensor_to_images(candidates.images.flatten(0, 1)))[:, self.judge.main.columns]
        return torch.from_numpy(np.ascontiguousarray(features)).view(b, k, -1).to(candidates.labels.device)

    def combine(self, scores: Tensor, point: int) -> Tensor:
        values = -self.potentials[point].of(scores.cpu().numpy())
        return torch.from_numpy(values).float().to(scores.device)

    def shown(self, scores: Tensor) -> Tensor:
        return scores[..., :0]

    def against(self, memory: dict[int, Statistics]) -> "OracleFID":
        """This verifier with its potentials frozen at the sets of `memory`: point -> statistics."""
        frozen = OracleFID.__new__(OracleFID)
        frozen.__dict__.update(self.__dict__)
        frozen.potentials = {
            point: first_variation(Gaussian(s.mean, s.covariance), self.judge.main.gaussian, self.eps)
            for point, s in memory.items()
        }
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
