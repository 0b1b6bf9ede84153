"""Random search: best of N independent noises (paper, section 3.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from noise_search.algorithms.base import State

if TYPE_CHECKING:
    from noise_search.problem import Problem


@dataclass(frozen=True)
class Random:
    """Keep the best of N noises; one round draws and scores one more. Its points are N = 1, 2, 4, ...

    Cost of N > 1: c N evaluations to search, the final generation to render; N = 1 needs no search.
    Ties go to the earlier candidate, so the result does not depend on where a search is read out.
    """

    name: ClassVar[str] = "random"
    anytime: ClassVar[bool] = True

    def search_nfe(self, point: int, c: int) -> int:
        if point < 1:
            raise ValueError(f"random search: N={point}; at least 1")
        return c * point if point > 1 else 0

    def nfe_paper(self, point: int, c: int, final: int) -> int:
        return final + c * (point - 1)

    def rounds(self, point: int) -> int:
        return point

    def init(self, problem: Problem) -> State:
        labels = problem.labels
        return State(
            round=0,
            x=problem.noise(0),
            t=1.0,
            score=labels.float().fill_(float("-inf")),
            candidate=labels.new_zeros(labels.shape),
        )

    def step(self, problem: Problem, state: State) -> State:
        noise = problem.noise(state.round)
        score = problem.evaluate(noise[:, None])[:, 0]
        better = score > state.score
        return State(
            round=state.round + 1,
            x=noise.where(better.view(-1, *[1] * (noise.ndim - 1)), state.x),
            t=1.0,
            score=score.where(better, state.score),
            candidate=state.candidate.masked_fill(better, state.round),
        )
