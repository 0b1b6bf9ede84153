"""The ensemble: the mean of its members' ranks among the candidates that are compared (paper, section 4)."""

from collections.abc import Mapping

import torch
from torch import Tensor

from noise_search.core.gather import ranks
from noise_search.core.verifier import Candidates, Verifier, each


class Ensemble(Verifier):
    """members: name -> verifier; rank_weights: name -> its share, any missing: 1.

    Scores are kept per member; a rank exists only within one set: random search ranks all candidates so far anew at
    each budget, zero-order search the pivot and the round's neighbours, search over paths its pool.
    """

    def __init__(self, members: Mapping[str, Verifier], rank_weights: Mapping[str, float] | None = None) -> None:
        shares = dict(rank_weights or {})
        if not members or set(shares) - set(members) or any(value < 0 for value in shares.values()):
            raise ValueError(f"verifier.rank_weights={shares}: numbers of at least 0 for some of {', '.join(members)}")
        if any(len(member.members) != 1 for member in members.values()):
            raise ValueError("verifier.members: an ensemble's members give one score each")
        self.parts = dict(members)
        self.shares = [float(shares.get(name, 1.0)) for name in members]
        if not sum(self.shares):
            raise ValueError(f"verifier.rank_weights={shares}: at least one above 0")
        self.members = tuple(members)
        self.name = f"ensemble of {', '.join(self.networks)}"
        self.weights = {}
        for member in members.values():
            self.weights |= member.weights
        self.reads = tuple(dict.fromkeys(word for member in members.values() for word in member.reads))
        self.needs = tuple(level for member in members.values() for level in member.needs)

    @property
    def networks(self) -> tuple[str, ...]:
        return tuple(member.name for member in self.parts.values())

    def scores(self, candidates: Candidates) -> Tensor:
        return torch.stack([member.score(seen) for member, seen in each(self.parts.values(), candidates)], 2)

    def combine(self, scores: Tensor, point: int) -> Tensor:
        total = sum(share * ranks(scores[..., v]) for v, share in enumerate(self.shares))
        return torch.as_tensor(total) / sum(self.shares)
