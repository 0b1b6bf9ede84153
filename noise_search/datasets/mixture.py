"""Conditions of the exact Gaussian mixture."""

from noise_search.core.dataset import Dataset


def mixture(classes: list[int] | None = None) -> Dataset:
    """The ten classes of `models.toy.coloured_waves`."""
    return Dataset("mixture", tuple(f"wave {k}" for k in range(10)), classes, class_set="mixture")
