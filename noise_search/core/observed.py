"""A verifier that chooses, and observers that score every candidate beside it and choose nothing."""

from collections.abc import Mapping

import torch
from torch import Tensor

from noise_search.core.verifier import Candidates, Verifier, each


class Observed(Verifier):
    """The columns of `verifier` first, then one for each of `observers` (name -> verifier)."""

    def __init__(self, verifier: Verifier, observers: Mapping[str, Verifier]) -> None:
        for name, observer in observers.items():
            if len(observer.members) != 1:
                raise ValueError(f"observers: {name} gives no score of one image; observe its members")
        self.verifier, self.observers = verifier, dict(observers)
        self.name, self.differentiable = verifier.name, verifier.differentiable
        self.weights = dict(verifier.weights)
        for observer in observers.values():
            self.weights |= observer.weights
        self.members = (*verifier.members, *observers)
        self.reads = tuple(dict.fromkeys(word for part in self.parts for word in part.reads))
        self.needs = tuple(level for part in self.parts for level in part.needs)

    @property
    def parts(self) -> tuple[Verifier, ...]:
        return (self.verifier, *self.observers.values())

    @property
    def networks(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.networks)

    def scores(self, candidates: Candidates) -> Tensor:
        columns = []
        for part, seen in each(self.parts, candidates):
            with torch.set_grad_enabled(torch.is_grad_enabled() and part is self.verifier):
                columns.append(part.scores(seen))
        return torch.cat(columns, 2)

    def combine(self, scores: Tensor, point: int) -> Tensor:
        return self.verifier.combine(scores[..., : len(self.verifier.members)], point)
