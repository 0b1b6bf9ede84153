"""No draft: a candidate is made by the whole model, in c evaluations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from noise_search.core.draft import Draft

if TYPE_CHECKING:
    from noise_search.core.algorithm import Algorithm
    from noise_search.core.guidance import Guidance
    from noise_search.core.model import Described
    from noise_search.core.verifier import Verifier


@dataclass(frozen=True)
class NoDraft(Draft):
    """Serves every algorithm: those that score no noises too."""

    name: ClassVar[str] = "none"
    exact: ClassVar[bool] = True
    differentiable: ClassVar[bool] = True

    def refuse(
        self, model: Described, verifier: Verifier, algorithm: Algorithm, guidance: Guidance, c: int, final: int
    ) -> None:
        """Never."""
