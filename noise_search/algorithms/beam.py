"""Beam search over trajectories: branch with fresh noise, keep the best clean predictions (breadth-first search in
Zhang et al., arXiv 2505.23614)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, no_views, no_views_of, require_point, unscored, unsearched
from noise_search.core.checks import require
from noise_search.core.descent import descend, refuse_views, stage_bounds
from noise_search.core.gather import take, top

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class BeamState(NamedTuple):
    """Of K survivors where the next stage starts: x0, eps [B, K, ...], their predictions there (at the end x0 are the
    samples; before the first round the noises); score [B, K, V]."""

    round: int
    width: int  # M
    x0: Tensor
    eps: Tensor
    score: Tensor


@dataclass(frozen=True)
class Beam:
    """K beams that branch; its points are M, the branches of each. Not anytime: one run for each M.

    `beams` K trajectories of `steps` ancestral steps (`eta` 1: with all the noise of the forward process) go from t = 1
    to 0. `choices` times, evenly spread over the steps (null: after every step), each has gone on as M branches with
    noises of their own; their clean predictions are scored and the best K of all K M go on. At t = 0 the best of K is
    the result: no final render. `temperature` T above 0: K of them are drawn, without replacement, with weights
    exp(score / T).
    With any M it is biased: the score of a clean prediction stands for what may still come of it. On the exact mixture
    four beams of four branches end .30 above the mean reward of p(x) exp(r(x) / T), .13 where T draws them; the best of
    four without branches .03 (tests/test_trajectories.py; 1 / T = 3, one component's rewards spread by .2).
    Cost of M >= 1, with the last choice after step l: K (1 + M l + steps - l - 1); scored: K (M choices + 1) images.
    """

    beams: int = 2
    steps: int = 20
    choices: int | None = 4
    eta: float = 1.0
    temperature: float = 0.0
    anytime: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require("beams", self.beams, self.beams >= 1, "at least 1")
        require("steps", self.steps, self.steps >= 2, "at least 2")
        within = self.choices is None or 1 <= self.choices < self.steps
        require("choices", self.choices, within, f"at least 1, below steps={self.steps}, or null")
        require("eta", self.eta, 0 < self.eta <= 1, "above 0 (branches would stay alike), at most 1")
        require("temperature", self.temperature, self.temperature >= 0, "at least 0")

    @property
    def name(self) -> str:
        return f"Beam-{self.beams}"

    def refuse(self, verifier: Verifier) -> None:
        refuse_views(self.name, verifier)

    @property
    def bounds(self) -> list[int]:
        """Numbers of steps after which stages end; a choice is made at the end of each but the last."""
        return stage_bounds(self.steps, self.steps if self.choices is None else self.choices + 1)

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        *_, last, steps = self.bounds
        search = self.beams * (1 + point * last + steps - last - 1)
        scored = self.beams * (point * (len(self.bounds) - 2) + 1)
        return Cost(search, 0, search, scored) if point else Cost(0, final, final)

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(self.steps)]

    def at_once(self, point: int) -> int:
        return self.beams * max(point, 1)

    def rounds(self, point: int) -> int:
        return len(self.bounds) - 1 if point else 0

    def init(self, problem: Problem, point: int) -> BeamState:
        self.refuse(problem.verifier)
        x = problem.noises(self.beams)
        return BeamState(0, point, x, x, unscored(problem, x))

    def step(self, problem: Problem, state: BeamState) -> BeamState:
        from noise_search.core.denoiser import Prediction

        times = problem.schedule(self.steps, solver="euler").times
        first, end = self.bounds[state.round : state.round + 2]
        x0, eps, score = state[2:] if state.round else (*problem.predict(state.x0, times[0]), state.score)
        if end == self.steps:
            x = descend(problem, Prediction(x0, eps), times[first:], first, self.eta)
            return BeamState(state.round + 1, state.width, x, x, problem.score(x, no_views_of(x)))
        branches = (values.repeat_interleave(state.width, 1) for values in (x0, eps))
        x = descend(problem, Prediction(*branches), times[first : end + 1], first, self.eta)
        clean, eps = problem.predict(x, times[end])
        score = problem.score(clean, no_views_of(clean))
        kept = self.survivors(problem, score, state.round)
        return BeamState(state.round + 1, state.width, *(take(values, kept) for values in (clean, eps, score)))

    def survivors(self, problem: Problem, score: Tensor, round: int) -> Tensor:
        """Of branches' scores [B, K M, V]: int64 [B, K], those that go on."""
        order = problem.combine(score, score.shape[1])
        if self.temperature:  # the highest of scores with Gumbel noise are draws without replacement
            number = problem.uniform(order.shape[1], round, "resample").clamp_min(1e-300)
            order = order.double() / self.temperature - (-number.log()).log()
        return top(order, self.beams)

    def result(self, problem: Problem, state: BeamState, point: int) -> Result:
        if not point:
            return unsearched(problem)
        best = problem.combine(state.score, self.beams).argmax(1)
        x = take(state.x0, best)
        return Result(x, 0.0, take(state.score, best), 1 + best, no_views(x))
