"""What a verifier is: candidates in, scores out. Higher is better, always."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

NO_VIEWS = torch.empty(0, 0, 0)


class Candidates(NamedTuple):
    """images: [B, K, 3, H, W] in [-1, 1]; condition: int64 [B], its number in the data set (the class, where it has
    classes); texts: the same in words, B of them.

    views: [B, K, L, 3, H, W], the clean predictions of each candidate at the verifier's L `needs`; most need none.
    """

    images: Tensor
    condition: Tensor
    views: Tensor = NO_VIEWS
    texts: Sequence[str] = ()


class Verifier:
    """Ordinary verifiers implement `score`; ensembles and populations, several numbers a candidate, the rest as well.

    name: as in tables; weights: file name -> sha256 of all it was loaded from; needs: noise levels t whose clean
    predictions it compares with; members: metric suffixes of its scores' columns; differentiable: may `score` be
    differentiated in its images? reads: what of the condition it looks at, of "classes" and "texts".
    """

    name: str
    weights: dict[str, str]
    needs: tuple[float, ...] = ()
    members: tuple[str, ...] = ("",)
    differentiable: bool = False
    reads: tuple[str, ...] = ()

    @property
    def networks(self) -> tuple[str, ...]:
        """The name that stands beside the numbers of each column."""
        return (self.name,) * len(self.members)

    @property
    def columns(self) -> int:
        """V, of `scores`: as many as members, more where a budget has columns of its own."""
        return len(self.members)

    def score(self, candidates: Candidates) -> Tensor:
        """[B, K], float32."""
        raise NotImplementedError

    def scores(self, candidates: Candidates) -> Tensor:
        """[B, K, V]: one column a member."""
        return self.score(candidates)[..., None]

    def combine(self, scores: Tensor, point: int) -> Tensor:
        """scores [B, K, V] of a set of candidates that is compared -> [B, K]; point: of the budget it is for."""
        return scores[..., 0]

    def shown(self, scores: Tensor) -> Tensor:
        """scores [..., V] -> the columns that a result reports, one a member."""
        return scores


def each(verifiers: Iterable[Verifier], candidates: Candidates) -> Iterator[tuple[Verifier, Candidates]]:
    """Every verifier with the candidates as it wants them: with its own of the views, which lie one after another."""
    at = 0
    for verifier in verifiers:
        end = at + len(verifier.needs)
        yield verifier, candidates._replace(views=candidates.views[:, :, at:end])
        at = end


class Function(Verifier):
    """Your own verifier: any function of images [N, 3, H, W] in [-1, 1] and conditions [N] that returns [N]."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], name: str = "own") -> None:
        self.function, self.name, self.weights = function, name, {}

    def score(self, candidates: Candidates) -> Tensor:
        b, k = candidates.images.shape[:2]
        return self.function(candidates.images.flatten(0, 1), candidates.condition.repeat_interleave(k)).view(b, k)
