"""The Frechet distance between two Gaussians; called FID only on the Inception network's features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from noise_search.measures.statistics import Statistics


@dataclass(frozen=True)
class Gaussian:
    """mean float64 [D], covariance float64 [D, D]."""

    mean: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray) -> Gaussian:
        """The moments of features [N, D] of any float type, N >= 2; the covariance unbiased."""
        mean = features.mean(0, dtype=np.float64)
        statistics = Statistics.of(features, mean)
        return cls(statistics.mean, statistics.covariance)

    @cached_property
    def factor(self) -> np.ndarray:
        """L [D, D] with L L^T = covariance: Cholesky, or from eigenvectors when the covariance is rank-deficient."""
        try:
            return np.linalg.cholesky(self.covariance)
        except np.linalg.LinAlgError:
            values, vectors = np.linalg.eigh(self.covariance)
            return vectors * np.sqrt(np.clip(values, 0, None))


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """|mean_a - mean_b|^2 + Tr(A + B - 2 (A B)^(1/2)); the factor of b is kept, so pass the reference as b.

    The eigenvalues of A B are those of the symmetric L^T A L with B = L L^T: exact, and faster than a matrix root.
    Cost O(D^3). Strongly biased upwards for few images.
    """
    middle = b.factor.T @ a.covariance @ b.factor
    roots = np.sqrt(np.clip(np.linalg.eigvalsh(middle), 0, None)).sum()
    shift = a.mean - b.mean
    return float(shift @ shift + np.trace(a.covariance) + np.trace(b.covariance) - 2 * roots)
