"""No search: spend the budget on denoising steps instead, the paper's dashed baseline (section 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, require_point, unsearched

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class NoState(NamedTuple):
    round: int


@dataclass(frozen=True)
class NoSearch:
    """Render the first noise. Its points are the NFE of that one generation; 0 stands for budget.final_nfe."""

    name: ClassVar[str] = "none"
    anytime: ClassVar[bool] = False
    address: ClassVar[str] = "(image, 0)"

    def refuse(self, verifier: Verifier) -> None:
        """Any will do."""

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point("no search", point)
        return Cost(0, point or final, point or final)

    def legs(self, c: int, final: int) -> list[Leg]:
        return []

    def at_once(self, point: int) -> int:
        return 1

    def rounds(self, point: int) -> int:
        return 0

    def init(self, problem: Problem, point: int) -> NoState:
        return NoState(0)

    def step(self, problem: Problem, state: NoState) -> NoState:
        return NoState(state.round + 1)

    def result(self, problem: Problem, state: NoState, point: int) -> Result:
        return unsearched(problem)

    def owns(self, lineage: Sequence[int]) -> bool:
        return list(lineage) == [0]

    def remake(self, problem: Problem, lineages: Sequence[Sequence[int]]) -> tuple[Tensor, float]:
        return problem.noise(0), 1.0
