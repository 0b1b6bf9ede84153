"""A verifier that chooses, and observers that score every candidate beside it and choose nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from noise_search.core.verifier import Candidates, Several, Surroundings, Verifier
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor


class Observed(Several):
    """The columns of `verifier` first, then one for each of `observers` (name -> verifier)."""

    def __init__(self, verifier: Verifier, observers: Mapping[str, Verifier]) -> None:
        for name, observer in observers.items():
            if len(observer.members) != 1:
                raise Refused(f"observers: {name} gives no score of one image; observe its members")
        super().__init__({"": verifier, **observers})
        self.verifier, self.observers = verifier, dict(observers)
        self.name, self.differentiable = verifier.name, verifier.differentiable
        self.climbs_apart, self.members = verifier.climbs_apart, (*verifier.members, *observers)

    def load(self, into: Surroundings) -> Observed:
        super().load(into)
        self.name = self.verifier.name
        return self

    def scores(self, candidates: Candidates) -> Tensor:
        import torch

        columns = []
        for part, seen in self.each(candidates):
            with torch.set_grad_enabled(torch.is_grad_enabled() and part is self.verifier):
                columns.append(part.scores(seen))
        return torch.cat(columns, 2)

    def combine(self, scores: Tensor, point: int) -> Tensor:
        return self.verifier.combine(scores[..., : len(self.verifier.members)], point)

    def climb(self, scores: Tensor) -> Tensor:
        return self.verifier.climb(scores[..., : len(self.verifier.members)])

    @property
    def ranks_alone(self) -> bool:
        return self.verifier.ranks_alone
