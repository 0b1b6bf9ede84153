"""Search over paths, Paths-N: re-noise partly denoised samples and keep the best (paper, section 3.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.algorithms.base import Cost, Result, require_point, unsearched
from noise_search.grid import Grid, uniform_grid

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.problem import Problem


class PathsState(NamedTuple):
    """Of the N surviving paths: x [B, N, ...] at level t; score float32 [B, N, V], NaN before the first; address int64
    [B, N], of the candidate that it came from; views [B, N, L, ...]. width: M."""

    round: int
    width: int
    x: Tensor
    score: Tensor
    address: Tensor
    views: Tensor


@dataclass(frozen=True)
class Paths:
    """Sampling paths that branch: its points are M, how widely.

    `paths` noises go from t = 1 to `start`; each round re-noises every one M times by `forward` and denoises it by
    `back`; the clean predictions there are scored and `paths` of them go on, down to t = 0.

    Rounds: while the level stays above 0 (three with the paper's values), then `last_nfe` evaluations to t = 0 for the
    survivors, of which the best is the result: no final render. pool: the survivors are the best of "all" candidates
    or the best of each path ("per_path"). Cost of M >= 1, with start_nfe = 2 ceil((1 - start) final_nfe / 2):
    N start_nfe + rounds N M (backward_nfe + 1) + N last_nfe. Not anytime: one run for each M.
    """

    paths: int = 2
    start: float = 0.11
    forward: float = 0.78
    back: float = 0.81
    backward_nfe: int = 14
    last_nfe: int = 2
    pool: str = "all"
    anytime: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("paths", "backward_nfe", "last_nfe"):
            if getattr(self, name) < 1:
                raise ValueError(f"algorithm.{name}={getattr(self, name)}: at least 1")
        if not 0 < self.start < 1 or not 0 < self.forward <= 1 - self.start + 1e-9:
            raise ValueError(
                f"algorithm.start={self.start} algorithm.forward={self.forward}: both above 0, their sum at most 1"
            )
        if not self.forward < self.back < self.start + self.forward:
            raise ValueError(
                f"algorithm.back={self.back}: above algorithm.forward={self.forward} (else the search never ends) and"
                f" below start + forward={self.start + self.forward:g}"
            )
        if self.pool not in ("all", "per_path"):
            raise ValueError(f"algorithm.pool={self.pool!r}: all or per_path")

    @property
    def name(self) -> str:
        return f"Paths-{self.paths}"

    @property
    def levels(self) -> list[float]:
        """t of the survivors before the first round and after each: 0.11, 0.08, 0.05, 0.02 with the paper's values."""
        out = [self.start]
        while (level := round(out[-1] + self.forward - self.back, 9)) > 0:
            out.append(level)
        return out

    def start_nfe(self, final: int) -> int:
        return 2 * math.ceil(round((1 - self.start) * final / 2, 9))

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        if point == 0:
            return Cost(0, final, final)
        width = (len(self.levels) - 1) * point * (self.backward_nfe + 1)
        search = self.paths * (self.start_nfe(final) + width + self.last_nfe)
        return Cost(search, 0, self.start_nfe(final) + self.paths * width)

    def grids(self, c: int, solver: str) -> list[Grid]:
        legs = zip(self.levels[:-1], self.levels[1:], strict=True)
        return [uniform_grid(self.backward_nfe, solver, low + self.forward, level) for low, level in legs]

    def rounds(self, point: int) -> int:
        return len(self.levels) + 1 if point else 0

    def init(self, problem: Problem, point: int) -> PathsState:
        x = problem.noises(self.paths)
        levels, members = len(problem.verifier.needs), len(problem.verifier.members)
        score = x.new_full((*x.shape[:2], members), float("nan"))
        address = problem.labels.new_zeros(len(x), 1).repeat(1, self.paths)
        return PathsState(0, point, x, score, address, x.new_zeros(*x.shape[:2], levels, *x.shape[2:]))

    def step(self, problem: Problem, state: PathsState) -> PathsState:
        if state.round == 0:
            grid = problem.grid(self.start_nfe(problem.final_nfe), 1.0, self.start)
            return state._replace(round=1, x=problem.solve(state.x, grid)[0])
        if state.round < len(self.levels):
            return self.widen(problem, state)
        x, _ = problem.solve(state.x, problem.grid(self.last_nfe, self.levels[-1], 0.0))
        return state._replace(round=state.round + 1, x=x, score=problem.score(x, state.views))

    def widen(self, problem: Problem, state: PathsState) -> PathsState:
        """One round: M re-noisings of every path, one leg back, and the survivors among them."""
        import torch

        from noise_search.select import take, top

        low, m = self.levels[state.round - 1], state.width
        grid = self.grids(problem.search_nfe, problem.solver)[state.round - 1]
        high, level = grid.times[0], grid.times[-1]
        before = state.x.repeat_interleave(m, 1)  # [B, N * M, ...]
        draws = problem.noises(before.shape[1], state.round, "renoise")
        x, views = problem.solve(problem.flow.renoise(before, low, high, draws), grid, problem.verifier.needs)
        clean = problem.flow.predict(x.flatten(0, 1), level, problem.who(x.shape[1])).x0.view_as(x)
        score = problem.score(clean, views)
        if self.pool == "all":
            chosen = top(problem.combine(score), self.paths)
        else:
            groups = score.unflatten(1, (self.paths, m)).flatten(0, 1)  # [B * N, M, V]
            within = problem.combine(groups).argmax(1).view(len(x), self.paths)
            chosen = within + m * torch.arange(self.paths, device=x.device)
        address = 1 + (state.round - 1) * x.shape[1] + chosen
        return PathsState(state.round + 1, m, take(x, chosen), take(score, chosen), address, take(views, chosen))

    def result(self, problem: Problem, state: PathsState) -> Result:
        from noise_search.select import take

        if not state.width:
            return unsearched(problem)
        best = problem.combine(state.score).argmax(1)
        return Result(
            take(state.x, best), 0.0, take(state.score, best), take(state.address, best), take(state.views, best)
        )
