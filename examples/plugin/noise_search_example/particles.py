"""Particles: a bootstrap filter over a trajectory, with the verifier's score of the clean prediction as potential."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, no_views, require_point, unsearched
from noise_search.core.checks import require
from noise_search.core.gather import take
from noise_search.errors import Refused

if TYPE_CHECKING:  # a plan is made without torch
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class ParticleState(NamedTuple):
    """x: [B, N, ...], the particles where the next leg starts; score: [B, N, V], of the last leg's predictions."""

    round: int
    x: Tensor
    score: Tensor


@dataclass(frozen=True)
class Particles:
    """N particles an image, resampled on their way from t = 1 to 0; its points are N. Not anytime: one run for each N.

    The way is cut into `parts` of equal length in t. After each but the last, the clean predictions are scored, N
    particles are drawn systematically with weights softmax(strength score), and those drawn take the first `leap` of
    the next part in one jump with fresh noise (`eta`), so that copies part; the rest of it is a leg of `leg_nfe`
    evaluations. At t = 0 the best is the result: no final render. Cost of N >= 1: N (parts (leg_nfe + 1) - 1).
    """

    parts: int = 4
    leg_nfe: int = 4
    leap: float = 0.5
    eta: float = 1.0
    strength: float = 200.0
    name: ClassVar[str] = "particles"
    anytime: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("parts", "leg_nfe"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        require("leap", self.leap, 0 < self.leap < 1, "between 0 and 1, ends excluded")
        require("eta", self.eta, 0 <= self.eta <= 1, "from 0 to 1")
        require("strength", self.strength, self.strength >= 0, "at least 0")

    def refuse(self, verifier: Verifier) -> None:
        if verifier.needs:
            raise Refused(f"{self.name}: verifier {verifier.name} compares with views; they have none")

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        search = point * (self.parts * (self.leg_nfe + 1) - 1)
        return Cost(search, 0, search, point * self.parts) if point else Cost(0, final, final)

    def legs(self, c: int, final: int) -> list[Leg]:
        ends = [round(1 - i / self.parts, 9) for i in range(1, self.parts + 1)]
        starts = [1.0, *(round(t - self.leap / self.parts, 9) for t in ends[:-1])]
        return [Leg(self.leg_nfe, start, end) for start, end in zip(starts, ends, strict=True)]

    def at_once(self, point: int) -> int:
        return max(point, 1)

    def rounds(self, point: int) -> int:
        return self.parts if point else 0

    def init(self, problem: Problem, point: int) -> ParticleState:
        self.refuse(problem.verifier)
        x = problem.noises(max(point, 1))
        score = x.new_full((*x.shape[:2], len(problem.verifier.members)), float("nan"))
        return ParticleState(0, x, score)

    def step(self, problem: Problem, state: ParticleState) -> ParticleState:
        from noise_search.core.denoiser import Prediction

        legs, done = self.legs(problem.search_nfe, problem.final_nfe), state.round + 1
        leg = legs[state.round]
        x, views = problem.solve(state.x, problem.grid(*leg))
        if done == self.parts:
            return ParticleState(done, x, problem.score(x, views))
        clean, eps = problem.predict(x, leg.end)
        score = problem.score(clean, views)
        kept = self.resample(problem, score, done)
        fresh = problem.noises(x.shape[1], done, "noise_search_example:jump")
        drawn = Prediction(take(clean, kept), take(eps, kept))
        x = problem.flow.jump(drawn, leg.end, legs[done].start, self.eta, fresh)
        return ParticleState(done, x, take(score, kept))

    def resample(self, problem: Problem, score: Tensor, round: int) -> Tensor:
        """score [B, N, V] -> int64 [B, N], the particles that go on: N evenly spaced numbers, shifted by one draw an
        image, looked up in the cumulated weights."""
        n = score.shape[1]
        weights = (problem.combine(score, n).double() * self.strength).softmax(1)
        shift = problem.uniform(1, round, "noise_search_example:resample")
        numbers = (shift + shift.new_tensor(range(n))) / n  # [B, N]
        return (weights.cumsum(1)[:, None] <= numbers[..., None]).sum(2).clamp(max=n - 1)

    def result(self, problem: Problem, state: ParticleState, point: int) -> Result:
        if not point:
            return unsearched(problem)
        best = problem.combine(state.score, point).argmax(1)
        x = take(state.x, best)
        return Result(x, 0.0, take(state.score, best), 1 + best, no_views(x))
