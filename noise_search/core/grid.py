"""Time grids: the knots of an integration and how many evaluations each step makes. Torch is not needed here."""

from typing import NamedTuple

SOLVERS = ("heun", "euler")
SPACINGS = ("uniform", "trailing", "spaced", "ddim")
TABLE = 1000  # indices of the DDPM table: index i is t = (i + 1) / TABLE


class Grid(NamedTuple):
    """times: n + 1 knots, falling, both ends included; stages: n numbers, 1 for an Euler, 2 for a Heun step."""

    times: tuple[float, ...]
    stages: tuple[int, ...]

    @property
    def nfe(self) -> int:
        return sum(self.stages)

    def nearest(self, level: float) -> int:
        """Index of the knot nearest to `level`, of two the noisier; an end is refused: nothing is predicted there yet,
        or nothing is left to predict."""
        distances = [round(abs(t - level), 9) for t in self.times]
        index = distances.index(min(distances))
        if index in (0, len(self.times) - 1):
            knots = ", ".join(f"{t:.3g}" for t in self.times)
            raise ValueError(f"verifier.view={level}: its nearest knot is an end of the grid ({knots}); use more NFE")
        return index


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
    n = len(steps)
    return Grid(tuple(start * (1 - i / n) + end * (i / n) for i in range(n + 1)), steps)


def make_grid(nfe: int, start: float = 1.0, end: float = 0.0, solver: str = "heun", spacing: str = "uniform") -> Grid:
    """The grid of a model from `start` to `end`, exactly `nfe` evaluations.

    spacing: "uniform", equal steps. The others are for a model on a table, of which the clean end (t = 0) is no part:
    a step that ends there is an Euler step, for a Heun correction would ask the network about it. "trailing": equal
    steps (indices 999, ..., clean); "spaced" and "ddim": for n steps from 1 to 0 the indices of "n" and "ddimn" in the
    published code of DiT, 999 to 0 evenly, or multiples of a whole stride. Other legs take equal steps in all of them.
    """
    if spacing not in SPACINGS:
        raise ValueError(f"model.spacing={spacing}: one of {', '.join(SPACINGS)}")
    if spacing == "uniform" or end > 0:
        return uniform_grid(nfe, solver, start, end)
    steps = stages(nfe, solver)
    if solver == "heun":
        twice = (nfe - 1) // 2
        steps = (2,) * twice + (1,) * (nfe - 2 * twice)
    n = len(steps)
    if spacing == "trailing" or start < 1:
        return Grid(tuple(start * (1 - i / n) + end * (i / n) for i in range(n + 1)), steps)
    return Grid((*((i + 1) / TABLE for i in reversed(published_indices(n, spacing))), 0.0), steps)


def published_indices(n: int, spacing: str) -> list[int]:
    """The n rising indices of the table that `space_timesteps` of guided diffusion, and of DiT, chooses."""
    if spacing == "spaced":
        if not 2 <= n <= TABLE:
            raise ValueError(f"model.spacing=spaced: {n} steps; 2 to {TABLE}")
        at, out = 0.0, []
        for _ in range(n):
            out.append(round(at))
            at += (TABLE - 1) / (n - 1)
        return out
    for stride in range(1, TABLE):
        if len(range(0, TABLE, stride)) == n:
            return list(range(0, TABLE, stride))
    raise ValueError(f"model.spacing=ddim: no whole stride through {TABLE} makes {n} steps")
