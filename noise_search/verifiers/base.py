"""The verifier protocol: candidates in, one score each out. Higher is better, always."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Candidates(NamedTuple):
    """images: [B, K, 3, H, W] in [-1, 1]; labels: int64 [B], the conditioning classes."""

    images: Tensor
    labels: Tensor


class Verifier(Protocol):
    """name: as in tables; weights: file name -> sha256 of all it was loaded from; score: Candidates -> [B, K]."""

    name: str
    weights: dict[str, str]

    def score(self, candidates: Candidates) -> Tensor: ...
