"""Verifiers that look at the whole set of images: every choice depends on what was chosen before."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from noise_search.core.verifier import Verifier


class Population(Verifier, ABC):
    """Images choose in groups of `group` consecutive ids, each group against a frozen memory of the sets so far, one
    set for each point. Its columns are what the memory is made of, the features [D] of a candidate. With random search
    only.
    """

    group: int

    @abstractmethod
    def begin(self, features: np.ndarray, points: Sequence[int]) -> Any:
        """The memory of sets in which every image has its candidate 0, with features [images, D]."""

    @abstractmethod
    def against(self, memory: Any) -> Population:
        """This verifier, frozen at the sets of `memory`: what a group chooses with."""

    @abstractmethod
    def commit(self, memory: Any, old: np.ndarray, chosen: dict[int, np.ndarray]) -> Any:
        """The memory after a group's features old [group, D] made way for chosen[point] [group, D] in every set."""
