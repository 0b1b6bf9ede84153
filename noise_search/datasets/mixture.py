"""Conditions of the exact Gaussian mixture."""

from collections.abc import Sequence

from noise_search.datasets.base import Dataset


def mixture(classes: Sequence[int] | None = None) -> Dataset:
    """The ten classes of `models.toy.coloured_waves`."""
    return Dataset("mixture", tuple(f"wave {k}" for k in range(10)), None if classes is None else tuple(classes))
