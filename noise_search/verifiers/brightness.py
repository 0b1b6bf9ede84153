"""The simplest verifier: it is easily hacked, so it shows what hacking looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noise_search.core.verifier import Candidates, Verifier

if TYPE_CHECKING:
    from torch import Tensor


class Brightness(Verifier):
    """Mean pixel value, -1 to 1. Its optimum is known: a white image."""

    differentiable = True

    def __init__(self) -> None:
        self.name, self.weights = "brightness", {}

    def score(self, candidates: Candidates) -> Tensor:
        return candidates.images.flatten(2).mean(2)
