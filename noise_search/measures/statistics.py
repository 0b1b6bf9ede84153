"""Feature statistics that add up: any split of the images, in any order, gives the same mean and covariance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from noise_search.errors import Refused

ROWS = 1000  # that are added at once


@dataclass(frozen=True)
class Statistics:
    """n images; total float64 [D], the sum of their features; outer float64 [D, D], the sum of outer products.

    Both sums are taken about a fixed `origin` [D], so that a large common mean costs no digits; statistics add up
    only about the same origin.
    """

    n: int
    total: np.ndarray
    outer: np.ndarray
    origin: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, origin: np.ndarray | None = None) -> Statistics:
        """features [N, D] of any float type; beside them, memory for a thousand rows and D x D numbers is used."""
        d = features.shape[1]
        origin = np.zeros(d) if origin is None else origin
        total, outer = np.zeros(d), np.zeros((d, d))
        for start in range(0, len(features), ROWS):
            x = features[start : start + ROWS].astype(np.float64) - origin
            total += x.sum(0)
            outer += x.T @ x
        return cls(len(features), total, outer, origin)

    def __add__(self, other: Statistics) -> Statistics:
        self._check(other)
        return Statistics(self.n + other.n, self.total + other.total, self.outer + other.outer, self.origin)

    def __sub__(self, other: Statistics) -> Statistics:
        self._check(other)
        return Statistics(self.n - other.n, self.total - other.total, self.outer - other.outer, self.origin)

    def _check(self, other: Statistics) -> None:
        if self.total.shape != other.total.shape or not np.array_equal(self.origin, other.origin):
            raise Refused(
                f"statistics of {self.total.shape} and {other.total.shape} features, or about different origins,"
                " cannot be added"
            )

    @property
    def mean(self) -> np.ndarray:
        return self.origin + self.total / self.n

    @property
    def covariance(self) -> np.ndarray:
        """Unbiased, [D, D]; needs n >= 2."""
        if self.n < 2:
            raise Refused(f"a covariance of n={self.n} images: at least 2")
        return (self.outer - np.outer(self.total, self.total) / self.n) / (self.n - 1)
