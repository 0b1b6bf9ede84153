"""Early stopping by a held-out verifier: one is climbed, another, which no gradient is taken of, says where to stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noise_search.core.checks import require
from noise_search.core.verifier import Candidates, Several, Surroundings, Verifier

if TYPE_CHECKING:
    from torch import Tensor


class HeldOut(Several):
    """climbed: the verifier whose gradient moves a noise; held_out: the one by which, of all noises on an image's way,
    the result is chosen; enough: its score from which on more is no better, None: none.

    So an image's result is the first noise on its way that is good enough, else the best so far: there it has stopped.
    Its search goes on to the budget all the same, a later noise may be better, and all of that is billed: what is saved
    is the image, not its cost. Both scores are reported. Cost: one forward of `held_out` an image more.
    With algorithms that follow a gradient only: elsewhere nothing is climbed, and what chooses is the verifier.
    """

    members = ("climbed", "held_out")
    climbs_apart = True

    def __init__(self, climbed: Verifier, held_out: Verifier, enough: float | None = None) -> None:
        for key, part in (("climbed", climbed), ("held_out", held_out)):
            require(key, part, isinstance(part, Verifier) and len(part.members) == 1, "a verifier with one score")
        super().__init__({"climbed": climbed, "held_out": held_out})
        self.enough, self.differentiable = enough, climbed.differentiable

    def load(self, into: Surroundings) -> HeldOut:
        super().load(into)
        climbed, held_out = self.networks
        self.name = f"{climbed}, stopped by {held_out}"
        return self

    def scores(self, candidates: Candidates) -> Tensor:
        import torch

        columns = []
        for part, seen in self.each(candidates):
            with torch.set_grad_enabled(torch.is_grad_enabled() and part is self.parts["climbed"]):
                columns.append(part.score(seen))
        return torch.stack(columns, 2)

    def climb(self, scores: Tensor) -> Tensor:
        return scores[..., 0]

    def combine(self, scores: Tensor, point: int) -> Tensor:
        held_out = scores[..., 1]
        return held_out if self.enough is None else held_out.clamp_max(self.enough)

    @property
    def ranks_alone(self) -> bool:
        return True
