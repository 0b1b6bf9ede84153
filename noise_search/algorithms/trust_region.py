"""Trust regions over noises, after TuRBO (Eriksson et al., arXiv 1910.01739)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, no_views, require_point, unscored, unsearched
from noise_search.core.checks import require
from noise_search.core.gather import mix, take

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class TrustRegionState(NamedTuple):
    """Of R regions: centre [B, R, ...] with its score float32 [B, R, V] (NaN: a region that begins), radius float64
    [B, R], successes and failures in a row int64 [B, R]; best [B, ...] of all, its score [B, V] and address int64 [B].

    An address is round * R q + j of candidate j; 0 is the first noise.
    """

    round: int
    centre: Tensor
    score: Tensor
    radius: Tensor
    successes: Tensor
    failures: Tensor
    best: Tensor
    best_score: Tensor
    best_address: Tensor


@dataclass(frozen=True)
class TrustRegion:
    """R regions that each try q candidates a round; its points are K, the rounds. Anytime.

    A candidate is sqrt(1 - r^2) centre + r eps, so a Gaussian noise, r the region's radius; the best of a round becomes
    the centre where it is better. `grow_after` such rounds in a row double the radius, up to `longest`; `shrink_after`
    rounds without one halve it; below `shortest` the region begins anew: with q independent noises, then at `radius`
    around the best of them, as all did in the first round.
    Unlike TuRBO there is no model of the score: candidates are drawn evenly within a region, not where a Gaussian
    process expects most, and every region is given as many; distance is an angle between noises, not the sides of a
    box. TuRBO grows after 3 successes; its other lengths and the failures it waits for (d / q) are of a box in few
    dimensions, ours are not. The result is the best noise ever scored: it never gets worse.
    Cost of K >= 1: c R q K + final.
    """

    regions: int = 2
    candidates: int = 4
    radius: float = 0.4
    shortest: float = 0.05
    longest: float = 0.8
    grow_after: int = 3
    shrink_after: int = 2
    anytime: ClassVar[bool] = True
    scores_noises: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name in ("regions", "candidates", "grow_after", "shrink_after"):
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        require("longest", self.longest, 0 < self.longest <= 1, "above 0, at most 1 (independent noises)")
        require("radius", self.radius, 0 < self.radius <= self.longest, f"above 0, at most longest={self.longest}")
        require("shortest", self.shortest, 0 < self.shortest <= self.radius, f"above 0, at most radius={self.radius}")

    @property
    def name(self) -> str:
        return f"Trust-region-{self.regions}"

    def refuse(self, verifier: Verifier) -> None:
        """Any will do."""

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        scored = self.regions * self.candidates * point
        return Cost(c * scored, final, c * scored + final, scored)

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(c)]

    def at_once(self, point: int) -> int:
        return self.regions * self.candidates

    def rounds(self, point: int) -> int:
        return point

    def init(self, problem: Problem, point: int) -> TrustRegionState:
        x, _, score, address, *_ = unsearched(problem)
        centre = x[:, None].repeat_interleave(self.regions, 1)
        nothing = address[:, None].repeat_interleave(self.regions, 1)
        fresh = centre, unscored(problem, centre), nothing.double() + 1, nothing, nothing
        return TrustRegionState(0, *fresh, x, score, address)

    def step(self, problem: Problem, state: TrustRegionState) -> TrustRegionState:
        import torch

        near = self.tried(problem, state)  # [B, R q, ...]
        scores = problem.evaluate(near)
        state = self.remembered(problem, state, near, scores)
        sides = (self.regions, self.candidates)
        everyone = torch.cat([state.centre[:, :, None], near.unflatten(1, sides)], 2).flatten(0, 1)
        known = torch.cat([state.score[:, :, None], scores.unflatten(1, sides)], 2).flatten(0, 1)
        order, begun = problem.combine(known), known[:, 0].isnan().all(1)
        order[:, 0] = order[:, 0].masked_fill(begun, -torch.inf)
        chosen = order.argmax(1)  # [B R]; 0: the centre
        shape = state.radius.shape
        state = state._replace(
            round=state.round + 1,
            centre=take(everyone, chosen).unflatten(0, shape),
            score=take(known, chosen).unflatten(0, shape),
        )
        return self.adapted(state, (chosen > 0).view(shape), begun.view(shape))

    def tried(self, problem: Problem, state: TrustRegionState) -> Tensor:
        """The candidates [B, R q, ...] of a round."""
        n = self.regions * self.candidates
        draws = problem.noises(n, state.round, "region") if state.round else problem.noises(n)
        radius = state.radius.repeat_interleave(self.candidates, 1)[(...,) + (None,) * (draws.ndim - 2)]
        centre = state.centre.repeat_interleave(self.candidates, 1)
        return ((1 - radius**2) ** 0.5).to(draws.dtype) * centre + radius.to(draws.dtype) * draws

    def remembered(self, problem: Problem, state: TrustRegionState, near: Tensor, scores: Tensor) -> TrustRegionState:
        """The state with the best of this round, if it is better than all before."""
        chosen = problem.combine(scores).argmax(1)
        score = take(scores, chosen)
        better = problem.prefers(score, state.best_score)
        return state._replace(
            best=mix(better, take(near, chosen), state.best),
            best_score=mix(better, score, state.best_score),
            best_address=mix(better, state.round * near.shape[1] + chosen, state.best_address),
        )

    def adapted(self, state: TrustRegionState, improved: Tensor, begun: Tensor) -> TrustRegionState:
        """The state with radii that have grown, shrunk or begun anew; improved, begun: bool [B, R], was the centre
        replaced, was it the first of its region?"""
        import torch

        successes = (state.successes + 1).where(improved & ~begun, 0)
        failures = (state.failures + 1).where(~improved & ~begun, 0)
        grown, shrunk = successes >= self.grow_after, failures >= self.shrink_after
        radius = state.radius.where(~grown, (2 * state.radius).clamp_max(self.longest))
        radius = radius.where(~shrunk, radius / 2).masked_fill(begun, self.radius)
        lost = radius < self.shortest
        return state._replace(
            radius=radius.masked_fill(lost, 1.0),
            score=state.score.masked_fill(lost[..., None], torch.nan),
            successes=successes.where(~grown & ~lost, 0),
            failures=failures.where(~shrunk & ~lost, 0),
        )

    def result(self, problem: Problem, state: TrustRegionState, point: int) -> Result:
        return Result(state.best, 1.0, state.best_score, state.best_address, no_views(state.best))

    def tell(self, candidate: int, point: int) -> str:
        if not candidate:
            return "the first noise"
        round, place = divmod(candidate, self.regions * self.candidates)
        region, number = divmod(place, self.candidates)
        return f"round {round + 1}, region {region + 1}, candidate {number + 1} of {self.candidates}"
