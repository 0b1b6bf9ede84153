"""The ensemble: the mean of its members' ranks among the candidates that are compared (paper, section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from noise_search.core.checks import finite, require
from noise_search.core.gather import ranks
from noise_search.core.verifier import Candidates, Several, Surroundings, Verifier

if TYPE_CHECKING:
    from torch import Tensor


def require_members(members: Mapping[str, Verifier]) -> None:
    """Of an ensemble: by their names, with one score each."""
    named = isinstance(members, Mapping) and bool(members)
    require("members", members, named, "verifiers by their names, at least one")
    for name, part in members.items():
        require(f"members.{name}", part, isinstance(part, Verifier), "a verifier")
    single = [name for name, part in members.items() if len(part.members) != 1]
    require("members", ", ".join(single), not single, "an ensemble's members give one score each")


def scores_of_members(ensemble: Several, candidates: Candidates) -> Tensor:
    """[B, K, V]: a column each."""
    import torch

    return torch.stack([member.score(seen) for member, seen in ensemble.each(candidates)], 2)


class Ensemble(Several):
    """members: name -> verifier; rank_weights: name -> its share, any missing: 1.

    Scores are kept per member; a rank exists only within one set: random search ranks all candidates so far anew at
    each budget, zero-order search the pivot and the round's neighbours, search over paths its pool.
    """

    def __init__(self, members: Mapping[str, Verifier], rank_weights: Mapping[str, float] | None = None) -> None:
        require_members(members)
        allowed, weights = f"numbers of at least 0 for some of {', '.join(members)}, null for none", rank_weights
        known = weights is None or (isinstance(weights, Mapping) and not set(weights) - set(members))
        good = known and all(finite(share) and share >= 0 for share in (weights or {}).values())
        require("rank_weights", weights, good, allowed)
        super().__init__(dict(members))
        self.shares = [float((weights or {}).get(name, 1.0)) for name in members]
        require("rank_weights", weights, sum(self.shares) > 0, "at least one above 0")
        self.members = tuple(members)

    def load(self, into: Surroundings) -> Ensemble:
        super().load(into)
        self.name = f"ensemble of {', '.join(self.networks)}"
        return self

    def scores(self, candidates: Candidates) -> Tensor:
        return scores_of_members(self, candidates)

    def combine(self, scores: Tensor, point: int) -> Tensor:
        import torch

        total = sum(share * ranks(scores[..., v]) for v, share in enumerate(self.shares))
        return torch.as_tensor(total) / sum(self.shares)
