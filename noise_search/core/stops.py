"""Trajectories of the ODE that are kept where they pass certain times, so that others can start there."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.grid import Grid
    from noise_search.core.problem import Problem


@dataclass(frozen=True)
class Stops:
    """times: falling, the first is 1, the last above 0; between each two, and down to t = 0, lies a leg."""

    times: tuple[float, ...]

    def left(self, c: int) -> list[int]:
        """Evaluations from each stop down to t = 0, of c from t = 1: the share of c that its time is of 1, rounded to
        whole Heun steps, at least one. `Refused` where nothing is left for a leg."""
        left = [c, *(max(2, 2 * int(round(c * t / 2, 9) + 0.5)) for t in self.times[1:])]
        for (a, b), (n, m) in zip(pairwise(self.times), pairwise(left), strict=True):
            if n <= m:
                raise Refused(f"times {a:g} and {b:g}: no evaluation lies between them at budget.search_nfe={c}")
        return left

    def grids(self, problem: Problem) -> list[Grid]:
        """The grid of each leg."""
        left, ends = [*self.left(problem.search_nfe), 0], [*self.times, 0.0]
        return [problem.grid(left[i] - left[i + 1], ends[i], ends[i + 1]) for i in range(len(self.times))]

    def down(self, problem: Problem, x: Tensor, first: int, last: int | None = None) -> Tensor:
        """x [B, K, ...] at stop `first` -> itself and what becomes of it at every stop down to `last`, None: down to
        t = 0; [B, K, last - first + 1, ...]. As many evaluations a candidate as `left` there says."""
        import torch

        states = [x]
        for grid in self.grids(problem)[first:last]:
            states.append(problem.solve(states[-1], grid)[0])
        return torch.stack(states, 2)
