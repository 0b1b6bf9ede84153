"""Sequential Monte Carlo over trajectories: Feynman-Kac steering (Singhal et al., arXiv 2501.06848)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, no_views, no_views_of, require_point, unscored, unsearched
from noise_search.core.checks import require
from noise_search.core.descent import descend, refuse_views, stage_bounds
from noise_search.core.gather import take

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class SMCState(NamedTuple):
    """Of N particles where the next stage starts: x [B, N, ...]; score [B, N, V], of the last clean predictions.

    Float64 [B, N] each, moved with the particles: `weight`, the logarithm of what has accumulated since the last
    resampling; `product`, that of all potentials so far; `past`, the largest or the summed reward of the way.
    """

    round: int
    x: Tensor
    score: Tensor
    weight: Tensor
    product: Tensor
    past: Tensor


@dataclass(frozen=True)
class SMC:
    """N particles that are weighted and resampled on their way; its points are N. Not anytime: one run for each N.

    A particle takes `steps` ancestral steps from t = 1 to 0 (`eta` 1: with all the noise of the forward process), cut
    into `resamplings` + 1 stages. At the start of each stage but the first the clean prediction is scored, and the
    score r multiplies the weight by a potential: exp(strength (r - r before)), "difference"; exp of strength times the
    largest ("max") or the summed ("sum") r of the way. The last one, at t = 0, makes the product of a particle's
    potentials exp(strength r(x0)), whatever was taken before: with many particles and steps the weighted ones are
    samples of p(x) exp(strength r(x)). `tempering` p: at stage i of n the strength is (i / n)^p times itself.

    Weights accumulate until their effective number falls below `threshold` N; then N particles are drawn by systematic
    resampling (1: wherever weights differ; 0: never). Under an ensemble r is the mean rank among an image's particles.
    The result, at t = 0, is the `best` final particle, or one drawn by the weights (`draw`). No final render.
    Cost of N >= 1: N steps; scored: N (resamplings + 1) images. The authors' script for Stable Diffusion has N = 4, 100
    steps, 4 resamplings, strength 10 of ImageReward, "max", and resamples every time (threshold 1).
    """

    steps: int = 20
    resamplings: int = 4
    eta: float = 1.0
    strength: float = 10.0
    potential: str = "max"
    tempering: float = 0.0
    threshold: float = 0.5
    choose: str = "best"
    name: ClassVar[str] = "SMC"
    anytime: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require("steps", self.steps, self.steps >= 1, "at least 1")
        within = 0 <= self.resamplings < self.steps
        require("resamplings", self.resamplings, within, f"at least 0, below steps={self.steps}")
        require("eta", self.eta, 0 <= self.eta <= 1, "from 0 to 1")
        require("strength", self.strength, self.strength >= 0, "at least 0")
        potentials = ("difference", "max", "sum")
        require("potential", self.potential, self.potential in potentials, "difference, max or sum")
        require("tempering", self.tempering, self.tempering >= 0, "at least 0")
        require("threshold", self.threshold, 0 <= self.threshold <= 1, "from 0 to 1")
        require("choose", self.choose, self.choose in ("best", "draw"), "best or draw")

    def refuse(self, verifier: Verifier) -> None:
        refuse_views(self.name, verifier)

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        search = point * self.steps
        scored = point * (self.resamplings + 1)
        return Cost(search, 0, search, scored) if point else Cost(0, final, final)

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(self.steps)]

    def at_once(self, point: int) -> int:
        return max(point, 1)

    def rounds(self, point: int) -> int:
        return self.resamplings + 1 if point else 0

    def init(self, problem: Problem, point: int) -> SMCState:
        self.refuse(problem.verifier)
        x = problem.noises(max(point, 1))
        nothing = x.new_zeros(x.shape[:2]).double()
        return SMCState(0, x, unscored(problem, x), nothing, nothing, nothing)

    def step(self, problem: Problem, state: SMCState) -> SMCState:
        from noise_search.core.denoiser import Prediction

        times = problem.schedule(self.steps, solver="euler").times
        first, last = stage_bounds(self.steps, self.resamplings + 1)[state.round : state.round + 2]
        prediction = problem.predict(state.x, times[first])
        if state.round:
            state = self.weighed(problem, state, prediction.x0)
            kept, state = self.resampled(problem, state)
            prediction = Prediction(take(prediction.x0, kept), take(prediction.eps, kept))
        x = descend(problem, prediction, times[first : last + 1], first, self.eta)
        state = state._replace(round=state.round + 1, x=x)
        return self.weighed(problem, state, x) if state.round > self.resamplings else state

    def weighed(self, problem: Problem, state: SMCState, clean: Tensor) -> SMCState:
        """The state with the scores of the particles' clean latents [B, N, ...] and the potentials of these."""
        import torch

        score = problem.score(clean, no_views_of(clean))
        reward = problem.combine(score, clean.shape[1]).double()
        done, strength = state.round > self.resamplings, self.strength
        if self.tempering and not done:
            strength *= (state.round / (self.resamplings + 1)) ** self.tempering
        past = reward
        if state.round > 1 and self.potential != "difference":
            past = torch.maximum(state.past, reward) if self.potential == "max" else state.past + reward
        product = strength * (reward if done else past)
        if self.potential != "difference" and not done:
            product = state.product + product
        return state._replace(score=score, weight=state.weight + product - state.product, product=product, past=past)

    def resampled(self, problem: Problem, state: SMCState) -> tuple[Tensor, SMCState]:
        """int64 [B, N], the particles that go on, and what is carried along with them."""
        import torch

        n, weights = state.x.shape[1], state.weight.softmax(1)
        few = 1 / weights.square().sum(1) < self.threshold * n
        drawn = systematic(weights, problem.uniform(1, state.round, "resample"))
        kept = drawn.where(few[:, None], torch.arange(n, device=drawn.device))
        moved = (take(values, kept) for values in state[2:])
        state = SMCState(state.round, state.x, *moved)
        return kept, state._replace(weight=state.weight.masked_fill(few[:, None], 0.0))

    def result(self, problem: Problem, state: SMCState, point: int) -> Result:
        if not point:
            return unsearched(problem)
        if self.choose == "best":
            chosen = problem.combine(state.score, point).argmax(1)
        else:
            chosen = looked_up(state.weight.softmax(1), problem.uniform(1, state.round, "resample"))[:, 0]
        x = take(state.x, chosen)
        return Result(x, 0.0, take(state.score, chosen), 1 + chosen, no_views(x))


def systematic(weights: Tensor, shift: Tensor) -> Tensor:
    """weights float64 [B, N] that sum to 1, shift [B, 1] in [0, 1) -> int64 [B, N]: N evenly spaced numbers, shifted
    alike, looked up. A particle is drawn as often as N times its weight says, rounded up or down."""
    n = weights.shape[1]
    return looked_up(weights, (shift + shift.new_tensor(range(n))) / n)


def looked_up(weights: Tensor, numbers: Tensor) -> Tensor:
    """numbers [B, K] in [0, 1) -> int64 [B, K], the particles in whose shares of weights [B, N] they fall."""
    return (weights.cumsum(1)[:, None] <= numbers[..., None]).sum(2).clamp(max=weights.shape[1] - 1)
