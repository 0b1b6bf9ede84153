"""Random search: best of N independent noises (paper, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import (
    Cost,
    Leg,
    NoiseOfNumber,
    Result,
    kept_latents,
    no_views,
    require_point,
    unsearched,
)
from noise_search.core.gather import take

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class RandomState(NamedTuple):
    """scores: float32 [B, round, V], of every candidate so far; a noise is regenerated from its number.

    Where a candidate is the finished image, those that may still win are kept: their numbers int64 [B, H], x
    [B, H, ...] and views [B, H, L, ...]. None: they are generated again.
    """

    round: int
    scores: Tensor
    numbers: Tensor | None = None
    x: Tensor | None = None
    views: Tensor | None = None


def place(numbers: Tensor, candidate: Tensor) -> Tensor:
    """int64 [B]: where each image's candidate [B] stands among its numbers [B, H]; it must be there."""
    found = numbers == candidate[:, None]
    assert found.any(1).all(), "a candidate that was not kept"
    return found.int().argmax(1)


@dataclass(frozen=True)
class Random(NoiseOfNumber):
    """Keep the best of N noises; one round draws and scores one more. Its points are N = 1, 2, 4, ...

    Cost of N > 1: c N evaluations to search, the final generation to render; N = 1 needs no search. With as many NFE
    an iteration as in the final generation a candidate is the image: c N in all, nothing is generated again. Then those
    that may still win are kept: one an image, or all N where a choice depends on the others (an ensemble).
    All candidates so far are compared, at every budget anew; ties go to the earlier.
    """

    name: ClassVar[str] = "random"
    anytime: ClassVar[bool] = True
    scores_noises: ClassVar[bool] = True

    def refuse(self, verifier: Verifier) -> None:
        """Any will do."""

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point("random search", point)
        if self.finishes(c, final) and point:
            return Cost(c * point, 0, c * point, point)
        scored = point if point > 1 else 0
        return Cost(c * scored, final, final + c * (max(point, 1) - 1), scored)

    def finishes(self, c: int, final: int) -> bool:
        """Is a candidate the finished image?"""
        return c == final

    def drafted(self) -> Random:
        return OfDrafts()

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
        x, views, scores = problem.generate(problem.noises(count, first=state.round))
        scores = torch.cat([state.scores, scores], 1)
        if not self.finishes(problem.search_nfe, problem.final_nfe):
            return RandomState(stop, scores)
        numbers = torch.arange(state.round, stop, device=x.device).expand(len(x), count)
        kept: tuple[Tensor, ...] = (numbers, x, views)
        if before := [values for values in (state.numbers, state.x, state.views) if values is not None]:
            kept = tuple(torch.cat(pair, 1) for pair in zip(before, kept, strict=True))
        if kept_latents(problem.verifier, stop) == 1:
            best = place(kept[0], problem.combine(scores, stop).argmax(1))
            kept = tuple(take(values, best[:, None]) for values in kept)
        return RandomState(stop, scores, *kept)

    def bank(self, state: RandomState) -> Tensor:
        return state.scores

    def resumed(self, bank: Tensor) -> RandomState:
        return RandomState(bank.shape[1], bank)

    def result(self, problem: Problem, state: RandomState, point: int) -> Result:
        if state.round == 0:
            first = unsearched(problem)  # a noise: another x than candidate 0, once that is finished
            finishes = self.finishes(problem.search_nfe, problem.final_nfe)
            return first._replace(candidate=first.candidate - 1) if finishes else first
        candidate = problem.combine(state.scores[:, :point], point).argmax(1)
        score, lineage = problem.verifier.shown(take(state.scores, candidate)), candidate[:, None]
        if state.numbers is None or state.x is None or state.views is None:
            x = problem.noise(candidate)
            return Result(x, 1.0, score, candidate, no_views(x), lineage)
        x, views = (take(values, place(state.numbers, candidate)) for values in (state.x, state.views))
        return Result(x, 0.0, score, candidate, views, lineage)


class OfDrafts(Random):
    """Its candidates only rank; the best is generated again."""

    def finishes(self, c: int, final: int) -> bool:
        return False
