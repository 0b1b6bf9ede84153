"""Time grids: the knots of an integration and how many evaluations each step makes. Torch is not needed here."""

from typing import NamedTuple

from noise_search.errors import Refused

SOLVERS = ("heun", "euler")
LONGEST = 100_000  # NFE of one integration


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
            raise Refused(f"verifier.view={level}: its nearest knot is an end of the grid ({knots}); use more NFE")
        return index


def stages(nfe: int, solver: str) -> tuple[int, ...]:
    """Euler: `nfe` steps. Heun: nfe // 2 steps of two evaluations, then one Euler step if `nfe` is odd."""
    if nfe < 1:
        raise Refused(f"nfe={nfe}: at least 1")
    if solver not in SOLVERS:
        raise Refused(f"solver={solver!r}: one of {', '.join(SOLVERS)}")
    return (1,) * nfe if solver == "euler" else (2,) * (nfe // 2) + (1,) * (nfe % 2)


def uniform_grid(nfe: int, solver: str, start: float = 1.0, end: float = 0.0) -> Grid:
    """Equal steps from `start` down to `end` that make exactly `nfe` evaluations."""
    return equal_steps(stages(nfe, solver), start, end)


def equal_steps(steps: tuple[int, ...], start: float, end: float) -> Grid:
    """Knots at equal distances, for steps of so many evaluations each."""
    n = len(steps)
    return Grid(tuple(start * (1 - i / n) + end * (i / n) for i in range(n + 1)), steps)
