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
    return distance(a.mean, float(np.trace(a.covariance)), b.factor.T @ a.covariance @ b.factor, b)


def frechet_distance_of(features: np.ndarray, b: Gaussian) -> float:
    """The same of features [N, D], N >= 2, against the reference b.

    With X = (features - mean) / sqrt(N - 1), A = X^T X, and L^T A L has the eigenvalues of (X L) (X L)^T and zeros: of
    N < D images a matrix [N, N] does, at O(N D^2 + N^3). The two ways differ by about 1e-7: where the larger matrix has
    zeros, roots of rounding errors are added up.
    """
    n, d = features.shape
    if n >= d:
        return frechet_distance(Gaussian.of(features), b)
    mean = features.mean(0, dtype=np.float64)
    x = (features - mean) / np.sqrt(n - 1)
    root = x @ b.factor
    return distance(mean, float((x * x).sum()), root @ root.T, b)


def distance(mean: np.ndarray, trace: float, middle: np.ndarray, b: Gaussian) -> float:
    """From the trace of A and a symmetric matrix with the eigenvalues of A B, but for zeros."""
    roots = np.sqrt(np.clip(np.linalg.eigvalsh(middle), 0, None)).sum()
    shift = mean - b.mean
    return float(shift @ shift + trace + np.trace(b.covariance) - 2 * roots)
