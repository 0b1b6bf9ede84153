"""Time schedules: where a model is evaluated on the way from noise to data. Torch is not needed here."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from noise_search.core.checks import finite, require, require_one_of, whole
from noise_search.core.grid import Grid, equal_steps, stages, uniform_grid
from noise_search.errors import Refused

FINE = 500  # steps of the list that parts of a way are cut from; of 1000 a table of 1000 with an offset has none
SPACINGS = ("trailing", "rounded", "leading", "spaced", "ddim")
TABLE = 1000  # indices of the DDPM table: index i is t = (i + 1) / TABLE


@runtime_checkable
class Schedule(Protocol):
    """(nfe, start, end, solver) -> the grid from time `start` down to `end` that makes exactly `nfe` evaluations."""

    def __call__(self, nfe: int, start: float = 1.0, end: float = 0.0, solver: str = "heun") -> Grid: ...


@dataclass(frozen=True)
class Uniform:
    """Equal steps in t."""

    def __call__(self, nfe: int, start: float = 1.0, end: float = 0.0, solver: str = "heun") -> Grid:
        return uniform_grid(nfe, solver, start, end)


UNIFORM = Uniform()


@dataclass(frozen=True)
class Shifted:
    """Equal steps in u, with t = shift u / (1 + (shift - 1) u), as SD3 and FLUX are sampled: shift > 1 spends more
    evaluations on noise. last: t of the last knot before the clean end, where a schedule has one of its own."""

    shift: float
    last: float | None = None

    def __post_init__(self) -> None:
        require("shift", self.shift, finite(self.shift) and self.shift > 0, "a number above 0")
        good = self.last is None or (finite(self.last) and 0 < self.last < 1)
        require("last", self.last, good, "a time between 0 and 1, ends excluded, or null")

    def __call__(self, nfe: int, start: float = 1.0, end: float = 0.0, solver: str = "heun") -> Grid:
        steps, low = stages(nfe, solver), end
        if end == 0 and self.last is not None and len(steps) > 1:
            steps = table_stages(nfe, solver)
            if self.last >= start:
                raise Refused(f"model.schedule.last={self.last}: a leg starts at t = {start:g}, below it")
            low = self.last
        kept = steps if low == end else steps[:-1]
        even = equal_steps(kept, self.before(start), self.before(low)).times
        times = (start, *(self.after(u) for u in even[1:-1]), low)
        return Grid(times if low == end else (*times, end), steps)

    def after(self, u: float) -> float:
        return self.shift * u / (1 + (self.shift - 1) * u)

    def before(self, t: float) -> float:
        return t / (self.shift - (self.shift - 1) * t)


def shifted_by_size(tokens: int) -> Shifted:
    """FLUX's own: log(shift) grows linearly, from 0.5 at 256 image tokens to 1.15 at 4,096."""
    require("tokens", tokens, 1 <= tokens <= 2**16, f"1 to {2**16}")
    return Shifted(math.exp(0.5 + (1.15 - 0.5) * (tokens - 256) / (4096 - 256)))


@dataclass(frozen=True)
class Table:
    """Of a model on the DDPM table, of which the clean end (t = 0) is no part: a step that ends there is an Euler step,
    for a Heun correction would ask the network about it.

    spacing: "trailing": equal steps (indices 999, ..., clean). Others are for n steps from 1 to 0: "rounded", those at
    whole indices, and "leading", multiples of the whole part of 1000 / n from `offset` on, both as diffusers has them;
    "spaced" and "ddim": the indices of "n" and "ddimn" in the published code of DiT, 999 to 0 evenly, or multiples of a
    whole stride. Other legs take equal steps in all of them.
    """

    spacing: str = "trailing"
    offset: int = 0

    def __post_init__(self) -> None:
        require_one_of("spacing", self.spacing, SPACINGS)
        good = whole(self.offset) and (self.offset == 0 or (self.spacing == "leading" and 0 < self.offset < TABLE))
        require("offset", self.offset, good, f"0, or with spacing=leading up to {TABLE - 1}")

    def __call__(self, nfe: int, start: float = 1.0, end: float = 0.0, solver: str = "heun") -> Grid:
        if end > 0:
            return uniform_grid(nfe, solver, start, end)
        steps = table_stages(nfe, solver)
        if self.spacing == "trailing" or start < 1:
            return equal_steps(steps, start, end)
        indices = published_indices(len(steps), self.spacing, self.offset)
        return Grid((*((i + 1) / TABLE for i in reversed(indices)), 0.0), steps)


@dataclass(frozen=True)
class Listed:
    """Knots that somebody else lists, such as the scheduler of a library: knots(n) are the n + 1 falling times of n
    steps, the last 0. The first is where its way begins, 1 or a little below.

    A part of the way takes equal steps along the list of `FINE`. The clean end is asked of no network: a step that ends
    there is an Euler step.
    """

    knots: Callable[[int], Sequence[float]]

    def __call__(self, nfe: int, start: float = 1.0, end: float = 0.0, solver: str = "heun") -> Grid:
        steps = table_stages(nfe, solver) if end == 0 else stages(nfe, solver)
        n = len(steps)
        if start == 1 and end == 0:
            return Grid(tuple(self.knots(n)), steps)
        rising = self.fine[::-1]
        low, high = np.interp([end, start], rising, np.arange(len(rising))).tolist()
        between = np.interp(np.linspace(low, high, n + 1)[1:-1], np.arange(len(rising)), rising)
        return Grid((start, *between[::-1].tolist(), end), steps)

    @cached_property
    def fine(self) -> np.ndarray:
        return np.array(self.knots(FINE), dtype=np.float64)


def table_stages(nfe: int, solver: str) -> tuple[int, ...]:
    """As `stages`, but Heun's last step is an Euler step, the last two where `nfe` is even."""
    steps = stages(nfe, solver)
    if solver == "heun":
        twice = (nfe - 1) // 2
        steps = (2,) * twice + (1,) * (nfe - 2 * twice)
    return steps


def published_indices(n: int, spacing: str, offset: int = 0) -> list[int]:
    """The n rising indices of the table that diffusers' schedulers ("rounded", "leading") choose, or `space_timesteps`
    of guided diffusion, and of DiT."""
    if spacing in ("rounded", "leading"):
        if not 1 <= n <= TABLE or (n - 1) * (TABLE // n) + offset >= TABLE:
            raise Refused(f"model.schedule.spacing={spacing}: {n} steps from {offset}; the table has {TABLE}")
        if spacing == "leading":
            return [i * (TABLE // n) + offset for i in range(n)]
        return [round(TABLE - i * TABLE / n) - 1 for i in reversed(range(n))]
    if spacing == "spaced":
        if not 2 <= n <= TABLE:
            raise Refused(f"model.schedule.spacing=spaced: {n} steps; 2 to {TABLE}")
        at, out = 0.0, []
        for _ in range(n):
            out.append(round(at))
            at += (TABLE - 1) / (n - 1)
        return out
    for stride in range(1, TABLE):
        if len(range(0, TABLE, stride)) == n:
            return list(range(0, TABLE, stride))
    raise Refused(f"model.schedule.spacing=ddim: no whole stride through {TABLE} makes {n} steps")
