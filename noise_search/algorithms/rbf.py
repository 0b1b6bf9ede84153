"""Rollover budget forcing: every step's quota, and what it left over (Kim et al., arXiv 2503.19385)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, no_views, no_views_of, require_point, unscored, unsearched
from noise_search.core.checks import require
from noise_search.core.descent import refuse_views
from noise_search.core.gather import take

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class RBFState(NamedTuple):
    """At the knot that `round` steps lead to: x0, eps [B, ...], the prediction there (before the first round the noise;
    after the last the sample) with its score float32 [B, V]; record [B, V], the best score of the way so far, and left
    int64 [B], the evaluations that the steps before did not use."""

    round: int
    quota: int  # Q
    x0: Tensor
    eps: Tensor
    score: Tensor
    record: Tensor
    left: Tensor


@dataclass(frozen=True)
class RBF:
    """One trajectory whose steps draw new noises until one beats the way before; its points are Q, the quota of a step.
    Not anytime: one run for each Q.

    It begins with the best of `particles` P noises, by their clean predictions. At every one of `steps` ancestral steps
    but the last (which adds no noise) an image tries noises one after the other. The first whose clean prediction
    scores more than any before on its way goes on, and what is left of the quota is added to the next step's; where the
    quota ends, the best of the step goes on. The last step with noise tries all that is left. So every image costs the
    same, though each spends it elsewhere. The authors' script for FLUX: P = 25, 10 steps, 500 evaluations, so Q = 47.
    Theirs goes along an SDE on a variance-preserving path, here steps are ancestral on the model's own.
    Cost of Q >= 1: P + Q (steps - 1); scored: P + Q (steps - 1) + 1 images. No final render.
    """

    particles: int = 4
    steps: int = 20
    eta: float = 1.0
    name: ClassVar[str] = "RBF"
    anytime: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require("particles", self.particles, self.particles >= 1, "at least 1")
        require("steps", self.steps, self.steps >= 2, "at least 2")
        require("eta", self.eta, 0 < self.eta <= 1, "above 0 (noises would change nothing), at most 1")

    def refuse(self, verifier: Verifier) -> None:
        refuse_views(self.name, verifier)

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        search = self.particles + point * (self.steps - 1)
        return Cost(search, 0, search, search + 1) if point else Cost(0, final, final)

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(self.steps)]

    def at_once(self, point: int) -> int:
        return 1

    def rounds(self, point: int) -> int:
        return self.steps if point else 0

    def init(self, problem: Problem, point: int) -> RBFState:
        self.refuse(problem.verifier)
        x = problem.noise(0)
        score = unscored(problem, x[:, None])[:, 0]
        return RBFState(0, point, x, x, score, score, problem.index.new_zeros(len(x)))

    def step(self, problem: Problem, state: RBFState) -> RBFState:
        from noise_search.core.denoiser import Prediction

        times = problem.schedule(self.steps, solver="euler").times
        if state.round == 0:
            state = self.begun(problem, state, times[0])
        t, s = times[state.round : state.round + 2]
        if state.round < self.steps - 1:
            return self.searched(problem, state, t, s)
        prediction = Prediction(state.x0[:, None], state.eps[:, None])
        x = problem.flow.jump(prediction, t, s, self.eta, problem.noises(1, state.round, "jump"))
        score = problem.score(x, no_views_of(x))[:, 0]
        return state._replace(round=self.steps, x0=x[:, 0], eps=x[:, 0], score=score)

    def begun(self, problem: Problem, state: RBFState, t: float) -> RBFState:
        """The state with the best of the first noises."""
        x0, eps = problem.predict(problem.noises(self.particles), t)
        score = problem.score(x0, no_views_of(x0))
        best = problem.combine(score, self.particles).argmax(1)
        x0, eps, score = (take(values, best) for values in (x0, eps, score))
        return state._replace(x0=x0, eps=eps, score=score, record=score)

    def searched(self, problem: Problem, state: RBFState, t: float, s: float) -> RBFState:
        """The state after a step from t to s: image by image as many noises as it takes, at most its quota."""
        import torch

        from noise_search.core.denoiser import Prediction

        quota, last = state.left + state.quota, state.round == self.steps - 2
        x0, eps, score = state.x0.clone(), state.eps.clone(), torch.full_like(state.score, torch.nan)
        record, going, tried = state.record.clone(), torch.ones_like(quota, dtype=torch.bool), torch.zeros_like(quota)
        while going.any():
            images = going.nonzero()[:, 0]
            noises = problem.noises(1, state.round, "jump", first=int(tried.max()))[images]
            before = Prediction(state.x0[images, None], state.eps[images, None])
            clean, eps_s = problem.predict(problem.flow.jump(before, t, s, self.eta, noises), s, images.cpu())
            new = problem.score(clean, no_views_of(clean), images.cpu())[:, 0]
            better, beats = problem.prefers(new, score[images]), problem.prefers(new, record[images])
            for values, found in ((x0, clean[:, 0]), (eps, eps_s[:, 0]), (score, new)):
                values[images[better]] = found[better]
            record[images[beats]] = new[beats]
            tried[images] += 1
            going &= tried < quota
            if not last:
                going[images[beats]] = False
        return RBFState(state.round + 1, state.quota, x0, eps, score, record, quota - tried)

    def result(self, problem: Problem, state: RBFState, point: int) -> Result:
        if not point:
            return unsearched(problem)
        one = problem.index.new_ones(len(state.x0))
        return Result(state.x0, 0.0, state.score, one, no_views(state.x0))
