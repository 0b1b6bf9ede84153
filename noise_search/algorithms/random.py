"""Random search: best of N independent noises (paper, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, no_views, require_point, unsearched
from noise_search.core.gather import take

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class RandomState(NamedTuple):
    """scores: float32 [B, round, V], of every candidate so far; a noise is regenerated from its number."""

    round: int
    scores: Tensor


@dataclass(frozen=True)
class Random:
    """Keep the best of N noises; one round draws and scores one more. Its points are N = 1, 2, 4, ...

    Cost of N > 1: c N evaluations to search, the final generation to render; N = 1 needs no search.
    All candidates so far are compared, at every budget anew; ties go to the earlier.
    """

    name: ClassVar[str] = "random"
    anytime: ClassVar[bool] = True
    address: ClassVar[str] = "(image, candidate)"

    def refuse(self, verifier: Verifier) -> None:
        """Any will do."""

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point("random search", point)
        scored = point if point > 1 else 0
        return Cost(c * scored, final, final + c * (max(point, 1) - 1), scored)

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(c)]

    def at_once(self, point: int) -> int:
        return max(point, 1)

    def rounds(self, point: int) -> int:
        return point

    def init(self, problem: Problem, point: int) -> RandomState:
        scores = problem.index.new_empty(len(problem.ids), 0, problem.verifier.columns).float()
        return RandomState(0, scores)

    def step(self, problem: Problem, state: RandomState) -> RandomState:
        return self.extend(problem, state, 1)

    def extend(self, problem: Problem, state: RandomState, count: int) -> RandomState:
        import torch

        stop = state.round + count
        noises = problem.noises(count, first=state.round)
        return RandomState(stop, torch.cat([state.scores, problem.evaluate(noises)], 1))

    def bank(self, state: RandomState) -> Tensor:
        return state.scores

    def resumed(self, bank: Tensor) -> RandomState:
        return RandomState(bank.shape[1], bank)

    def result(self, problem: Problem, state: RandomState, point: int) -> Result:
        if state.round == 0:
            return unsearched(problem)
        candidate = problem.combine(state.scores[:, :point], point).argmax(1)
        x = problem.noise(candidate)
        score = problem.verifier.shown(take(state.scores, candidate))
        return Result(x, 1.0, score, candidate, no_views(x), candidate[:, None])

    def owns(self, lineage: Sequence[int]) -> bool:
        return len(lineage) == 1

    def remake(self, problem: Problem, lineages: Sequence[Sequence[int]]) -> tuple[Tensor, float]:
        return problem.noise(problem.index.new_tensor(lineages)[:, 0]), 1.0
