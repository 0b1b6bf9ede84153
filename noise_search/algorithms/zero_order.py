"""Zero-order search, ZO-N: hill climbing among neighbours of a pivot noise (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, no_views, require_point, unsearched
from noise_search.core.checks import require
from noise_search.core.gather import mix, take

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class ZeroOrderState(NamedTuple):
    """pivot, best: [B, ...] noises; their scores float32 [B, V]; their addresses int64 [B].

    An address is 0 for the first pivot, 1 + round * N + j for neighbour j; a fresh pivot has address -1, and score NaN.
    Their lineages, int64 [B, 1 + round]: where the chain starts, 0 at the first pivot, 1 + round at one that was drawn
    afresh in that round; then of each round the address of the neighbour it went on to, -1 where it went to none.
    """

    round: int
    pivot: Tensor
    pivot_score: Tensor
    pivot_address: Tensor
    pivot_lineage: Tensor
    best: Tensor
    best_score: Tensor
    best_address: Tensor
    best_lineage: Tensor


def neighbours(pivot: Tensor, draws: Tensor, similarity: float) -> Tensor:
    """pivot [B, ...], draws [B, N, ...] -> [B, N, ...] of the pivot's norm, at cosine `similarity` to it.

    The authors' rule: y = |n| (s u + sqrt(1 - s^2) w), with u = n / |n| and w the unit vector of a Gaussian draw made
    orthogonal to u. Worked out in float64, so that norm and cosine are exact to float32.
    """
    n, g = pivot.flatten(1).double()[:, None], draws.flatten(2).double()  # [B, 1, D], [B, N, D]
    length = n.norm(dim=2, keepdim=True)
    u = n / length
    w = g - (g * u).sum(2, keepdim=True) * u
    w = w / w.norm(dim=2, keepdim=True)
    return (length * (similarity * u + (1 - similarity**2) ** 0.5 * w)).to(pivot.dtype).view_as(draws)


@dataclass(frozen=True)
class ZeroOrder:
    """A round scores `neighbours` noises around the pivot. Its points are K, the rounds. Cost of K >= 1: c (N K + 1).

    similarity: cosine between pivot and neighbour, in (-1, 1): larger means a SMALLER step.
    pivot: "best" keeps the pivot among the candidates; "latest" moves to the best neighbour, better or not.
    on_stall: where no neighbour beats the pivot, "keep" it, or "redraw" a fresh one (the best is remembered).
    The result is the best noise ever scored: it never gets worse.
    """

    neighbours: int = 2
    similarity: float = 0.95
    pivot: str = "best"
    on_stall: str = "keep"
    anytime: ClassVar[bool] = True
    scores_noises: ClassVar[bool] = True
    address: ClassVar[str] = "(image, start, neighbour of each move)"

    def __post_init__(self) -> None:
        require("neighbours", self.neighbours, self.neighbours >= 1, "at least 1")
        require("similarity", self.similarity, -1 < self.similarity < 1, "between -1 and 1, ends excluded")
        require("pivot", self.pivot, self.pivot in ("best", "latest"), "best or latest")
        require("on_stall", self.on_stall, self.on_stall in ("keep", "redraw"), "keep or redraw")

    @property
    def name(self) -> str:
        return f"ZO-{self.neighbours}"

    def refuse(self, verifier: Verifier) -> None:
        """Any will do."""

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        n = self.neighbours
        scored = n * point + 1
        return Cost(c * scored, final, c * n * (point + 2), scored) if point else Cost(0, final, final)

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(c)]

    def at_once(self, point: int) -> int:
        return self.neighbours

    def rounds(self, point: int) -> int:
        return point

    def init(self, problem: Problem, point: int) -> ZeroOrderState:
        x, _, score, address, _, lineage, _ = unsearched(problem)
        assert lineage is not None
        return ZeroOrderState(0, *(x, score, address, lineage) * 2)

    def step(self, problem: Problem, state: ZeroOrderState) -> ZeroOrderState:
        import torch

        n = self.neighbours
        near = self.around(problem, state.pivot, state.round)
        everyone = torch.cat([state.pivot[:, None], near], 1)
        if state.round == 0:
            scores = problem.evaluate(everyone)
            state = state._replace(pivot_score=scores[:, 0], best_score=scores[:, 0])
        else:
            scores = torch.cat([state.pivot_score[:, None], problem.evaluate(near)], 1)
        first = 1 + state.round * n + torch.arange(n, device=state.pivot_address.device)
        addresses = torch.cat([state.pivot_address[:, None], first.expand(len(near), n)], 1)

        order = problem.combine(scores)
        unscored = (addresses < 0).nonzero(as_tuple=True)  # a fresh pivot
        order = order.index_put(unscored, order.new_tensor(-torch.inf))
        stalled = order.argmax(1) == 0
        chosen = order[:, 1:].argmax(1) + 1 if self.pivot == "latest" else order.argmax(1)
        pivot, score, address = take(everyone, chosen), take(scores, chosen), take(addresses, chosen)
        lineage = torch.cat([state.pivot_lineage, address.masked_fill(chosen == 0, -1)[:, None]], 1)
        if self.pivot == "best" and self.on_stall == "keep":
            return ZeroOrderState(state.round + 1, *(pivot, score, address, lineage) * 2)
        better = problem.prefers(score, state.best_score)
        best = mix(better, pivot, state.best), mix(better, score, state.best_score)
        best_address = mix(better, address, state.best_address)
        best_lineage = mix(better, lineage, torch.nn.functional.pad(state.best_lineage, (0, 1), value=-1))
        if self.on_stall == "redraw":
            pivot = mix(stalled, problem.noise(0, state.round, "pivot"), pivot)
            address, score = address.masked_fill(stalled, -1), score.masked_fill(stalled[:, None], torch.nan)
            lineage = lineage.masked_fill(stalled[:, None], -1)
            lineage[:, 0] = lineage[:, 0].masked_fill(stalled, 1 + state.round)
        return ZeroOrderState(state.round + 1, pivot, score, address, lineage, *best, best_address, best_lineage)

    def around(self, problem: Problem, pivot: Tensor, round: int) -> Tensor:
        """pivot [B, ...] -> its neighbours of a round [B, N, ...]."""
        return neighbours(pivot, problem.noises(self.neighbours, round, "neighbour"), self.similarity)

    def result(self, problem: Problem, state: ZeroOrderState, point: int) -> Result:
        x = state.best
        return Result(x, 1.0, state.best_score, state.best_address, no_views(x), state.best_lineage)

    def tell(self, candidate: int, point: int) -> str:
        if candidate <= 0:
            return "the first noise"
        round, neighbour = divmod(candidate - 1, self.neighbours)
        return f"round {round + 1}, neighbour {neighbour + 1} of {self.neighbours}"

    def owns(self, lineage: Sequence[int]) -> bool:
        if not lineage:
            return False
        start, *chain = lineage
        if start and not (chain and self.on_stall == "redraw"):  # a fresh pivot is never scored
            return False
        return all(a < b for a, b in pairwise([start - 1, *((number - 1) // self.neighbours for number in chain)]))

    def remake(self, problem: Problem, lineages: Sequence[Sequence[int]]) -> tuple[Tensor, float]:
        """To the bit beside the same images: the moves of all are made round by round, as the search made them."""
        n, fresh = self.neighbours, [start - 1 for start, *_ in lineages]
        moves = [{(number - 1) // n: (number - 1) % n for number in chain} for _, *chain in lineages]
        x = problem.noise(0)
        for round in sorted({*fresh, *(round for own in moves for round in own)} - {-1}):
            chosen = problem.index.new_tensor([own.get(round, -1) for own in moves])
            x = mix(chosen >= 0, take(self.around(problem, x, round), chosen.clamp_min(0)), x)
            if round in fresh:
                x = mix(problem.index.new_tensor(fresh) == round, problem.noise(0, round, "pivot"), x)
        return x, 1.0
