"""Time grids: the knots of an integration and how many evaluations each step makes."""

from typing import NamedTuple

import torch
from torch import Tensor

from noise_search.settings import SOLVERS


class Grid(NamedTuple):
    """times: float32 [n + 1], falling, both ends included; stages: n numbers, 1 for an Euler, 2 for a Heun step."""

    times: Tensor
    stages: tuple[int, ...]

    @property
    def nfe(self) -> int:
        return sum(self.stages)


def stages(nfe: int, solver: str) -> tuple[int, ...]:
    """Euler: `nfe` steps. Heun: nfe // 2 steps of two evaluations, then one Euler step if `nfe` is odd."""
    if nfe < 1:
        raise ValueError(f"nfe={nfe}: at least 1")
    if solver not in SOLVERS:
        raise ValueError(f"solver={solver!r}: one of {', '.join(SOLVERS)}")
    return (1,) * nfe if solver == "euler" else (2,) * (nfe // 2) + (1,) * (nfe % 2)


def uniform_grid(nfe: int, solver: str, start: float = 1.0, end: float = 0.0) -> Grid:
    """Equal steps from `start` down to `end` that make exactly `nfe` evaluations."""
    steps = stages(nfe, solver)
    return Grid(torch.linspace(start, end, len(steps) + 1), steps)
