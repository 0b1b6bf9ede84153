"""Racing: candidates begin their way together, and those that look worst on it are dropped (successive halving,
Jamieson and Talwalkar, arXiv 1502.07943, over best of N of the paper's section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, no_views, no_views_of, require_point, unscored, unsearched
from noise_search.core.checks import require, whole
from noise_search.core.descent import refuse_views
from noise_search.core.gather import take, top

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class RacingState(NamedTuple):
    """Of the K candidates that still run, best first: x [B, K, ...] where their next evaluation is made, their numbers
    int64 [B, K] and scores float32 [B, K, V]."""

    round: int
    x: Tensor
    number: Tensor
    score: Tensor


@dataclass(frozen=True)
class Racing:
    """Best of N noises, most of which are not integrated to their end; its points are N. Not anytime.

    All go down together in Euler steps, `steps` evaluations from t = 1 to 0. After each number of evaluations in
    `rungs` their clean predictions are scored and one in `factor` goes on, rounded up; those that reach t = 0 are
    scored as they are. The best one's noise is rendered, as in random search.
    Cost of N > 1, with K_i left after rung r_i: N r_1 + K_1 (r_2 - r_1) + ... + K_last (steps - r_last) + final;
    scored: N + K_1 + ... + K_last.
    """

    steps: int = 10
    rungs: tuple[int, ...] = (4, 7)
    factor: int = 4
    name: ClassVar[str] = "racing"
    anytime: ClassVar[bool] = False
    address: ClassVar[str] = "(image, candidate)"

    def __post_init__(self) -> None:
        require("steps", self.steps, whole(self.steps) and self.steps >= 2, "a whole number, at least 2")
        rungs = list(self.rungs) if isinstance(self.rungs, Sequence) and not isinstance(self.rungs, str) else []
        good = bool(rungs) and all(map(whole, rungs)) and all(a < b for a, b in pairwise([0, *rungs, self.steps]))
        require("rungs", self.rungs, good, f"growing whole numbers from 1 to {self.steps - 1}, below steps")
        require("factor", self.factor, whole(self.factor) and self.factor >= 2, "a whole number, at least 2")
        object.__setattr__(self, "rungs", tuple(rungs))

    def refuse(self, verifier: Verifier) -> None:
        refuse_views(self.name, verifier)

    def left(self, point: int) -> list[int]:
        """How many run to each rung, and to the end."""
        out = [point]
        for _ in self.rungs:
            out.append(-(-out[-1] // self.factor))
        return out

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        if point < 2:
            return Cost(0, final, final)
        legs = [b - a for a, b in pairwise([0, *self.rungs, self.steps])]
        search = sum(k * leg for k, leg in zip(self.left(point), legs, strict=True))
        return Cost(search, final, search + final, sum(self.left(point)))

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(self.steps)]

    def at_once(self, point: int) -> int:
        return max(point, 1)

    def rounds(self, point: int) -> int:
        return len(self.rungs) + 1 if point > 1 else 0

    def init(self, problem: Problem, point: int) -> RacingState:
        import torch

        self.refuse(problem.verifier)
        x = problem.noises(max(point, 1))
        number = torch.arange(x.shape[1], device=x.device).expand(len(x), -1)
        return RacingState(0, x, number, unscored(problem, x))

    def step(self, problem: Problem, state: RacingState) -> RacingState:
        times = problem.schedule(self.steps, solver="euler").times
        done, stop = [0, *self.rungs, self.steps][state.round : state.round + 2]
        x, clean = state.x, state.x
        for i in range(done, stop):
            prediction = problem.predict(x, times[i])
            clean = prediction.x0
            x = problem.flow.jump(prediction, times[i], times[i + 1], 0.0, prediction.eps)
        last = stop == self.steps
        score = problem.score(x if last else clean, no_views_of(x))
        count = x.shape[1]
        kept = top(problem.combine(score, count), count if last else -(-count // self.factor))
        return RacingState(state.round + 1, *(take(values, kept) for values in (x, state.number, score)))

    def result(self, problem: Problem, state: RacingState, point: int) -> Result:
        if point < 2:
            return unsearched(problem)
        number = state.number[:, 0]
        x = problem.noise(number)
        return Result(x, 1.0, problem.verifier.shown(state.score[:, 0]), number, no_views(x), number[:, None])

    def tell(self, candidate: int, point: int) -> str:
        return f"candidate {candidate}"

    def owns(self, lineage: Sequence[int]) -> bool:
        return len(lineage) == 1

    def remake(self, problem: Problem, lineages: Sequence[Sequence[int]]) -> tuple[Tensor, float]:
        return problem.noise(problem.index.new_tensor(lineages)[:, 0]), 1.0
