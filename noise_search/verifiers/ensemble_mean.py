"""An ensemble of scores, not of ranks: it can be climbed by its gradient, and gives every candidate a score alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from noise_search.core.checks import finite, require, require_one_of
from noise_search.core.verifier import Candidates, Several, Surroundings, Verifier
from noise_search.verifiers.ensemble import require_members, scores_of_members

if TYPE_CHECKING:
    from torch import Tensor


class EnsembleMean(Several):
    """members: name -> verifier; of: "mean" or "least" of their scores; scales: name -> what a member's score is
    divided by before, any missing: 1.

    Scores of one unit need no scales: log-probabilities of the conditioning class, say, of several networks. Under
    "least" the member that likes a candidate least has the word: what one network alone can be brought to like is worth
    nothing. Differentiable where all members are. Cost: one forward of every member an image.
    """

    def __init__(
        self, members: Mapping[str, Verifier], of: str = "mean", scales: Mapping[str, float] | None = None
    ) -> None:
        require_members(members)
        require_one_of("of", of, ("mean", "least"))
        known = scales is None or (isinstance(scales, Mapping) and not set(scales) - set(members))
        good = known and all(finite(scale) and scale > 0 for scale in (scales or {}).values())
        require("scales", scales, good, f"numbers above 0 for some of {', '.join(members)}, null for none")
        super().__init__(dict(members))
        self.of, self.scales = of, [float((scales or {}).get(name, 1.0)) for name in members]
        self.members = tuple(members)
        self.differentiable = all(part.differentiable for part in members.values())

    def load(self, into: Surroundings) -> EnsembleMean:
        super().load(into)
        self.name = f"{self.of} of {', '.join(self.networks)}"
        return self

    def scores(self, candidates: Candidates) -> Tensor:
        return scores_of_members(self, candidates)

    def combine(self, scores: Tensor, point: int) -> Tensor:
        scaled = scores / scores.new_tensor(self.scales)
        return scaled.mean(-1) if self.of == "mean" else scaled.amin(-1)

    @property
    def ranks_alone(self) -> bool:
        return True
