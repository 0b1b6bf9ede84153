"""Noise trajectory search, epsilon-greedy at every step (Ramesh and Mardani, arXiv 2506.03164)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, no_views, no_views_of, require_point, unscored, unsearched
from noise_search.core.checks import require
from noise_search.core.descent import refuse_views
from noise_search.core.gather import mix, take

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class EpsilonGreedyState(NamedTuple):
    """At the knot that `round` steps lead to: x0, eps [B, ...], the prediction there (before the first round the noise;
    after the last the sample), and the score float32 [B, V] of x0."""

    round: int
    width: int  # K
    x0: Tensor
    eps: Tensor
    score: Tensor


@dataclass(frozen=True)
class EpsilonGreedy:
    """One trajectory whose every step's noise is searched for; its points are K, the local rounds of a step. Not
    anytime: one run for each K.

    At every one of `steps` ancestral steps but the last (which adds no noise), K rounds try `candidates` N noises each
    and score the clean predictions they lead to. A candidate is with probability `epsilon` a fresh noise, else
    pivot + u lambda sqrt(d) w: w a random direction, u uniform in [0, 1), d the numbers of a noise, lambda the
    `radius`; the pivot is the best noise of the step so far, in its first round every candidate is fresh. The best goes
    on. In the authors' script, N = 4, K = 20, lambda = 0.15, epsilon = 0.4, a fresh noise that nobody scores is the
    first pivot, and each round's best the next one, better or not.
    With epsilon = 1 it is SVDD of K N branches. Like that it is biased to what the verifier says of clean predictions.
    Cost of K >= 1: 1 + K N (steps - 1); scored: K N (steps - 1) + 1 images. No final render.
    """

    candidates: int = 4
    radius: float = 0.15
    epsilon: float = 0.4
    steps: int = 20
    eta: float = 1.0
    anytime: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require("candidates", self.candidates, self.candidates >= 1, "at least 1")
        require("radius", self.radius, self.radius > 0, "above 0")
        require("epsilon", self.epsilon, 0 <= self.epsilon <= 1, "from 0 to 1")
        require("steps", self.steps, self.steps >= 2, "at least 2")
        require("eta", self.eta, 0 < self.eta <= 1, "above 0 (candidates would be alike), at most 1")

    @property
    def name(self) -> str:
        return f"Epsilon-greedy-{self.candidates}"

    def refuse(self, verifier: Verifier) -> None:
        refuse_views(self.name, verifier)

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        tried = point * self.candidates * (self.steps - 1)
        return Cost(1 + tried, 0, 1 + tried, tried + 1) if point else Cost(0, final, final)

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(self.steps)]

    def at_once(self, point: int) -> int:
        return self.candidates

    def rounds(self, point: int) -> int:
        return self.steps if point else 0

    def init(self, problem: Problem, point: int) -> EpsilonGreedyState:
        self.refuse(problem.verifier)
        x = problem.noise(0)
        return EpsilonGreedyState(0, point, x, x, unscored(problem, x[:, None])[:, 0])

    def step(self, problem: Problem, state: EpsilonGreedyState) -> EpsilonGreedyState:
        times = problem.schedule(self.steps, solver="euler").times
        x0, eps = state.x0[:, None], state.eps[:, None]
        if state.round == 0:
            x0, eps = problem.predict(x0, times[0])
        t, s = times[state.round : state.round + 2]
        if state.round == self.steps - 1:
            x = self.jumped(problem, x0, eps, t, s, problem.noises(1, state.round, "jump"))
            return EpsilonGreedyState(self.steps, state.width, x[:, 0], x[:, 0], problem.score(x, no_views_of(x))[:, 0])
        best = state._replace(round=state.round + 1)
        pivot = None
        for k in range(state.width):
            noises = self.tried(problem, pivot, state.round, k)
            clean, eps_s = problem.predict(self.jumped(problem, x0, eps, t, s, noises), s)
            score = problem.score(clean, no_views_of(clean))
            chosen = problem.combine(score, self.candidates).argmax(1)
            new = [take(values, chosen) for values in (clean, eps_s, score, noises)]
            if pivot is not None:
                better = problem.prefers(new[2], best.score)
                new = [mix(better, *pair) for pair in zip(new, (best.x0, best.eps, best.score, pivot), strict=True)]
            best, pivot = best._replace(x0=new[0], eps=new[1], score=new[2]), new[3]
        return best

    def jumped(self, problem: Problem, x0: Tensor, eps: Tensor, t: float, s: float, noises: Tensor) -> Tensor:
        """The prediction [B, 1, ...] at t with each of noises [B, N, ...] -> [B, N, ...] at s."""
        from noise_search.core.denoiser import Prediction

        return problem.flow.jump(Prediction(x0, eps), t, s, self.eta, noises)

    def tried(self, problem: Problem, pivot: Tensor | None, step: int, k: int) -> Tensor:
        """The candidates [B, N, ...] of local round k of a step, around the pivot [B, ...]; None: there is none yet."""
        n = self.candidates
        fresh = problem.noises(n, step, "jump", first=k * n)
        if pivot is None:
            return fresh
        directions = problem.noises(n, step, "local", first=k * n).flatten(2)
        numbers = problem.uniform((k + 1) * 2 * n, step, "explore")[:, k * 2 * n :].unflatten(1, (2, n))
        length = self.radius * directions.shape[2] ** 0.5 * numbers[:, 0].float()
        moves = directions / directions.norm(dim=2, keepdim=True) * length[..., None]
        near = pivot[:, None] + moves.view_as(fresh)
        return fresh.where((numbers[:, 1] < self.epsilon)[(...,) + (None,) * (fresh.ndim - 2)], near)

    def result(self, problem: Problem, state: EpsilonGreedyState, point: int) -> Result:
        if not point:
            return unsearched(problem)
        one = problem.index.new_ones(len(state.x0))
        return Result(state.x0, 0.0, state.score, one, no_views(state.x0))
