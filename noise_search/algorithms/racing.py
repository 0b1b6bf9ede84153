"""Racing: candidates begin as drafts, and those that look worst on their way are dropped (successive halving, Jamieson
and Talwalkar, arXiv 1502.07943, over best of N of the paper's section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import (
    Cost,
    Leg,
    NoiseOfNumber,
    Result,
    no_views,
    no_views_of,
    require_point,
    unscored,
    unsearched,
)
from noise_search.core.checks import require, whole
from noise_search.core.descent import refuse_views
from noise_search.core.gather import take, top

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.denoiser import Prediction
    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class RacingState(NamedTuple):
    """Of the K candidates that still run, best first: x [B, K, ...] where their next evaluation is made, their numbers
    int64 [B, K], scores float32 [B, K, V], and what was last predicted of them, x0 and eps [B, K, ...] (None: nothing).
    ties: int64 [B], candidates that were dropped (at the end: lost) with the very score of the last that was not."""

    round: int
    x: Tensor
    number: Tensor
    score: Tensor
    ties: Tensor
    x0: Tensor | None = None
    eps: Tensor | None = None


@dataclass(frozen=True)
class Racing(NoiseOfNumber):
    """Best of N noises, most of which are not integrated to their end; its points are N. Not anytime.

    All go down together from t = 1 to 0 by `steps` evaluations, each step along the line through the last two
    predictions. After each number of evaluations in `rungs` their clean predictions are scored (the draft `early`) and
    one in `factor` goes on, rounded up, the earlier of equals; those that reach t = 0 are scored as they are. The best
    one's noise is rendered, as in random search.

    common_start: at t = 1, where nothing but noise is seen, a network predicts the mean of what it could make; it is
    asked once an image, for all candidates. Not for models distilled to few steps, which predict an image there.
    Cost of N > 1, with K_i left after rung r_i: N r_1 + K_1 (r_2 - r_1) + ... + K_last (steps - r_last) + final, less
    N - 1 with a common start; scored: N + K_1 + ... + K_last.
    """

    steps: int = 5
    rungs: tuple[int, ...] = (4,)
    factor: int = 3
    common_start: bool = True
    name: ClassVar[str] = "racing"
    anytime: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require("steps", self.steps, whole(self.steps) and self.steps >= 2, "a whole number, at least 2")
        rungs = list(self.rungs) if isinstance(self.rungs, Sequence) and not isinstance(self.rungs, str) else []
        good = bool(rungs) and all(map(whole, rungs)) and all(a < b for a, b in pairwise([0, *rungs, self.steps]))
        require("rungs", self.rungs, good, f"growing whole numbers from 1 to {self.steps - 1}, below steps")
        good = rungs[0] > int(self.common_start)
        require("rungs", self.rungs, good, "from 2 on with common_start: after one evaluation all look alike")
        require("factor", self.factor, whole(self.factor) and self.factor >= 2, "a whole number, at least 2")
        object.__setattr__(self, "rungs", tuple(rungs))

    def refuse(self, verifier: Verifier) -> None:
        refuse_views(self.name, verifier)

    def left(self, point: int) -> list[int]:
        """How many run to each rung, and to the end."""
        return [-(-point // self.factor**i) for i in range(len(self.rungs) + 1)]

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        if point < 2:
            return Cost(0, final, final)
        legs = [b - a for a, b in pairwise([0, *self.rungs, self.steps])]
        search = sum(k * leg for k, leg in zip(self.left(point), legs, strict=True)) - (point - 1) * self.common_start
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
        return RacingState(0, x, number, unscored(problem, x), torch.zeros_like(number[:, 0]))

    def step(self, problem: Problem, state: RacingState) -> RacingState:
        from noise_search.core.denoiser import Prediction

        times = problem.schedule(self.steps, solver="euler").times
        done, stop = [0, *self.rungs, self.steps][state.round : state.round + 2]
        x, before = state.x, None
        if state.x0 is not None and state.eps is not None:
            before = times[done - 1], Prediction(state.x0, state.eps)
        for i in range(done, stop):
            now = self.first(problem, x, times[0]) if i == 0 else problem.predict(x, times[i])
            x, before = problem.flow.step(x, times[i], times[i + 1], now, before), (times[i], now)
        last, count = stop == self.steps, x.shape[1]
        cut = 1 if last else -(-count // self.factor)
        score = problem.score(x if last else now.x0, no_views_of(x))
        ranking = top(order := problem.combine(score, count), count)
        ordered, kept = take(order, ranking), ranking[:, :cut]
        ties = state.ties + (ordered[:, cut:] == ordered[:, cut - 1 : cut]).sum(1)
        x, number, score, x0, eps = (take(part, kept) for part in (x, state.number, score, *now))
        return RacingState(state.round + 1, x, number, score, ties, x0, eps)

    def first(self, problem: Problem, x: Tensor, t: float) -> Prediction:
        """What is predicted of noises x [B, K, ...] at the beginning t of their way."""
        from noise_search.core.denoiser import Prediction

        if not self.common_start:
            return problem.predict(x, t)
        mean = problem.predict(x[:, :1], t).x0
        (a,), (s,) = problem.flow.coefficients((t,))
        return Prediction(mean.expand_as(x), (x - a * mean) / s)

    def result(self, problem: Problem, state: RacingState, point: int) -> Result:
        if point < 2:
            return unsearched(problem)
        number, score = state.number[:, 0], problem.verifier.shown(state.score[:, 0])
        x = problem.noise(number)
        return Result(x, 1.0, score, number, no_views(x), number[:, None], state.ties)
