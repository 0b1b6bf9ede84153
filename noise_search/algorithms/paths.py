"""Search over paths, Paths-N: re-noise partly denoised samples and keep the best (paper, section 3.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.algorithms.base import Cost, Result, require, require_point, unsearched
from noise_search.grid import Grid, uniform_grid

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.problem import Problem


class PathsState(NamedTuple):
    """Of N surviving paths: x [B, N, ...], score [B, N, V], address [B, N] of the candidate, views [B, N, L, ...]."""

    round: int
    width: int  # M
    x: Tensor
    score: Tensor
    address: Tensor
    views: Tensor


@dataclass(frozen=True)
class Paths:
    """Sampling paths that branch; its points are M, how widely. Not anytime: one run for each M.

    `paths` noises go from t = 1 to `start`; each round re-noises every one M times by `forward` and denoises it by
    `back`; the clean predictions there are scored, and the best of "all" or of each path (`pool`) go on. Rounds: while
    the level stays above 0 (three with the paper's values); then `last_nfe` evaluations to t = 0, where the best is the
    result: no final render. Cost of M >= 1, with start_nfe = 2 ceil((1 - start) final_nfe / 2):
    N start_nfe + rounds N M (backward_nfe + 1) + N last_nfe.
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
            require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        top = self.start + self.forward
        require("start", self.start, 0 < self.start < 1, "between 0 and 1, ends excluded")
        require("forward", self.forward, self.forward > 0 and top < 1 + 1e-9, "above 0; with start at most 1")
        ends = f"above forward={self.forward}, or the search never ends; below start + forward={top:g}"
        require("back", self.back, self.forward < self.back < top, ends)
        require("pool", self.pool, self.pool in ("all", "per_path"), "all or per_path")

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
        start, width = self.start_nfe(final), (len(self.levels) - 1) * point * (self.backward_nfe + 1)
        search = self.paths * (start + width + self.last_nfe)
        return Cost(search, 0, start + self.paths * width) if point else Cost(0, final, final)

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
        from noise_search.select import best_of_groups, take, top

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
            chosen = best_of_groups(problem.combine(groups), self.paths)
        address = 1 + (state.round - 1) * x.shape[1] + chosen
        return PathsState(state.round + 1, m, take(x, chosen), take(score, chosen), address, take(views, chosen))

    def result(self, problem: Problem, state: PathsState) -> Result:
        from noise_search.select import take

        if not state.width:
            return unsearched(problem)
        best = problem.combine(state.score).argmax(1)
        x, score, address, views = (take(values, best) for values in state[2:])
        return Result(x, 0.0, score, address, views)
