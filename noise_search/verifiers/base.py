"""The verifier protocol: candidates in, one score each out. Higher is better, always."""

from typing import NamedTuple, Protocol

from torch import Tensor


class Candidates(NamedTuple):
    """images: [B, K, 3, H, W] in [-1, 1]; labels: int64 [B], the conditioning classes."""

    images: Tensor
    labels: Tensor


class Verifier(Protocol):
    """name: as in tables; score: Candidates -> float32 [B, K]."""

    name: str

    def score(self, candidates: Candidates) -> Tensor: ...
