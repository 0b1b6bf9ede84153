"""Fewer evaluations: a candidate is made by the whole model on a coarser grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from noise_search.core.checks import require, whole
from noise_search.core.draft import Draft

if TYPE_CHECKING:
    from noise_search.core.model import Described


@dataclass(frozen=True)
class Steps(Draft):
    """nfe: evaluations of a candidate, whatever budget.search_nfe says. Cost: nfe."""

    nfe: int
    name: ClassVar[str] = "steps"
    exact: ClassVar[bool] = True
    differentiable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require("nfe", self.nfe, whole(self.nfe) and self.nfe >= 1, "a whole number, at least 1")

    def evaluations(self, c: int, model: Described) -> int:
        return self.nfe
