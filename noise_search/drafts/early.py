"""The clean prediction on the way: a candidate is not integrated to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from noise_search.core.checks import require, whole
from noise_search.core.draft import Draft, Drafter
from noise_search.core.grid import Grid

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.model import Described, Model
    from noise_search.core.problem import Problem


@dataclass(frozen=True)
class Early(Draft):
    """steps: evaluations of the whole way; time: where it ends, in t, at the nearest knot below 1, with the network's
    clean prediction there. Cost: the evaluations down to that knot, and one.

    Blurred where much noise is left, so that a verifier of pictures may see them differently.
    """

    steps: int
    time: float
    name: ClassVar[str] = "early"
    differentiable: ClassVar[bool] = True
    views: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require("steps", self.steps, whole(self.steps) and self.steps >= 2, "a whole number, at least 2")
        require("time", self.time, 0 < self.time < 1, "between 0 (data) and 1 (noise), ends excluded")

    def way(self, model: Described) -> Grid:
        """From t = 1 to the knot."""
        grid = model.schedule(self.steps, 1.0, 0.0, model.solver)
        last = min(range(1, len(grid.stages)), key=lambda i: abs(grid.times[i] - self.time))
        return Grid(grid.times[: last + 1], grid.stages[:last])

    def evaluations(self, c: int, model: Described) -> int:
        return self.way(model).nfe + 1

    def load(self, model: Model, settings: Described, device: str) -> Drafter:
        way = self.way(settings)

        def make(problem: Problem, noise: Tensor, images: Tensor | None) -> tuple[Tensor, Tensor]:
            x, views = problem.solve(noise, way, images=images)
            return problem.predict(x, way.times[-1], images).x0, views

        return Drafter(make)
