"""Search over paths, Paths-N: re-noise partly denoised samples and keep the best (paper, section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, no_views_of, require_point, unscored, unsearched
from noise_search.core.checks import require
from noise_search.core.gather import take, top
from noise_search.core.grid import LONGEST
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class PathsState(NamedTuple):
    """Of N surviving paths: x [B, N, ...], score [B, N, V], address [B, N] of the candidate, views [B, N, L, ...].

    lineage: int64 [B, N, 1 + widened rounds], the number of its noise, then of its re-noising in each of those rounds.
    """

    round: int
    width: int  # M
    x: Tensor
    score: Tensor
    address: Tensor
    views: Tensor
    lineage: Tensor


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
    address: ClassVar[str] = "(image, noise, re-noising of each round), or (image, 0) unsearched"

    def __post_init__(self) -> None:
        for name in ("paths", "backward_nfe", "last_nfe"):
            require(name, getattr(self, name), 1 <= getattr(self, name) <= LONGEST, f"at least 1, at most {LONGEST}")
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
        drop = round(self.back - self.forward, 9)
        return [round(self.start - i * drop, 9) for i in range(math.ceil(round(self.start / drop, 9)))]

    def start_nfe(self, final: int) -> int:
        return 2 * math.ceil(round((1 - self.start) * final / 2, 9))

    def refuse(self, verifier: Verifier) -> None:
        """Any will do."""

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        start, width = self.start_nfe(final), (len(self.levels) - 1) * point * (self.backward_nfe + 1)
        scored = self.paths * ((len(self.levels) - 1) * point + 1)
        alone = Cost(self.paths * (start + width + self.last_nfe), 0, start + self.paths * width, scored)
        return alone if point else Cost(0, final, final)

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(self.backward_nfe, round(t + self.back, 9), t) for t in self.levels[1:]]

    def at_once(self, point: int) -> int:
        return self.paths * max(point, 1)

    def rounds(self, point: int) -> int:
        return len(self.levels) + 1 if point else 0

    def init(self, problem: Problem, point: int) -> PathsState:
        x = problem.noises(self.paths)
        address = problem.index.new_zeros(x.shape[:2])
        lineage = (address + address.new_tensor(range(self.paths)))[..., None]
        return PathsState(0, point, x, unscored(problem, x), address, no_views_of(x), lineage)

    def step(self, problem: Problem, state: PathsState) -> PathsState:
        if state.round == 0:
            return state._replace(round=1, x=self.begin(problem, state.x))
        if state.round < len(self.levels):
            return self.widen(problem, state)
        x = self.end(problem, state.x)
        return state._replace(round=state.round + 1, x=x, score=problem.score(x, state.views))

    def widen(self, problem: Problem, state: PathsState) -> PathsState:
        """One round: M re-noisings of every path, one leg back, and the survivors among them."""
        import torch

        before = state.x.repeat_interleave(state.width, 1)  # [B, N * M, ...]
        draws = problem.noises(before.shape[1], state.round, "renoise")
        x, views = self.branch(problem, before, draws, state.round)
        score = problem.score(problem.predict(x, self.levels[state.round]).x0, views)
        groups = 1 if self.pool == "all" else self.paths
        pools = score.view(-1, score.shape[1] // groups, score.shape[2])  # [B * groups, ..., V]
        kept = top(problem.combine(pools), self.paths // groups, groups)
        address = 1 + (state.round - 1) * x.shape[1] + kept
        lineage = torch.cat([take(state.lineage.repeat_interleave(state.width, 1), kept), kept[..., None]], 2)
        chosen = take(x, kept), take(score, kept), address, take(views, kept), lineage
        return PathsState(state.round + 1, state.width, *chosen)

    def begin(self, problem: Problem, x: Tensor) -> Tensor:
        """Noises [B, K, ...] -> the first level."""
        return problem.solve(x, problem.grid(self.start_nfe(problem.final_nfe), 1.0, self.start))[0]

    def branch(self, problem: Problem, x: Tensor, draws: Tensor, round: int) -> tuple[Tensor, Tensor]:
        """x [B, K, ...] at the level before a round, re-noised by draws [B, K, ...] -> at the level after it; views."""
        leg = self.legs(problem.search_nfe, problem.final_nfe)[round - 1]
        noisy = problem.flow.renoise(x, self.levels[round - 1], leg.start, draws)
        return problem.solve(noisy, problem.grid(*leg), problem.verifier.needs)

    def end(self, problem: Problem, x: Tensor) -> Tensor:
        """x [B, K, ...] at the last level -> finished samples."""
        return problem.solve(x, problem.grid(self.last_nfe, self.levels[-1], 0.0))[0]

    def result(self, problem: Problem, state: PathsState, point: int) -> Result:
        if not state.width:
            return unsearched(problem)
        best = problem.combine(state.score).argmax(1)
        x, score, *rest = (take(values, best) for values in state[2:])
        return Result(x, 0.0, score, *rest)

    def tell(self, candidate: int, point: int) -> str:
        if candidate <= 0:
            return "the first noise"
        round, branch = divmod(candidate - 1, self.paths * point)
        return f"round {round + 1}, re-noising {branch % point + 1} of {point} of path {branch // point + 1}"

    def owns(self, lineage: Sequence[int]) -> bool:
        return list(lineage) == [0] or (len(lineage) == len(self.levels) and lineage[0] < self.paths)

    def remake(self, problem: Problem, lineages: Sequence[Sequence[int]]) -> tuple[Tensor, float]:
        """One path an image: start_nfe + rounds backward_nfe + last_nfe evaluations, none of an unsearched noise."""
        if len({len(lineage) for lineage in lineages}) > 1:
            raise Refused(f"{self.name}: of these images some were searched and some not; make them apart")
        noise, *draws = problem.index.new_tensor(lineages).T
        x = problem.noise(noise)
        if not draws:
            return x, 1.0
        x = self.begin(problem, x[:, None])
        for round, draw in enumerate(draws, 1):
            x, _ = self.branch(problem, x, problem.noise(draw, round, "renoise")[:, None], round)
        return self.end(problem, x)[:, 0], 0.0
