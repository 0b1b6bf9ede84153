"""Features reused: most blocks of the transformer are not run at every evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from noise_search.core.checks import require, whole
from noise_search.core.draft import NOTHING, Draft, Drafter, LeftOut, by, in_batches
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.algorithm import Algorithm
    from noise_search.core.flow import Solution
    from noise_search.core.guidance import Guidance
    from noise_search.core.model import Described, Model
    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


@dataclass(frozen=True)
class Cache(Draft):
    """The first block runs at every evaluation. What the others add is made anew at evaluations 0, every, 2 every, ...
    and forecast in between: order 0, as it was last (first-block caching); 1 or 2, by a line or a parabola through the
    last evaluations that made it (Liu et al., TaylorSeer, arXiv 2503.06923, with finite differences).

    threshold: instead of `every`, a row makes it anew when its tokens after the first block have moved by more than
    this share since it last did. Decisions are a row's own: no batch changes them. The cost then depends on the data,
    and the plan tells the most it can be. Cost: c NFE; of each reused evaluation all blocks but one are left out.
    """

    every: int | None = 2
    order: int = 0
    threshold: float | None = None
    name: ClassVar[str] = "cache"

    def __post_init__(self) -> None:
        if (self.every is None) == (self.threshold is None):
            raise Refused(f"draft.every={self.every} draft.threshold={self.threshold}: one of them, the other null")
        good = self.every is None or (whole(self.every) and self.every >= 2)
        require("every", self.every, good, "a whole number, at least 2, or null")
        require("order", self.order, self.order in (0, 1, 2), "0, 1 or 2")
        require("threshold", self.threshold, self.threshold is None or self.threshold > 0, "above 0, or null")
        if self.threshold is not None and self.order:
            raise Refused(f"draft.order={self.order}: 0 with draft.threshold")

    @property
    def bounded(self) -> bool:  # type: ignore[override]
        return self.threshold is not None

    def left_out(self, c: int, model: Described, guidance: Guidance) -> LeftOut:
        if model.reusable is None or self.every is None:
            return NOTHING
        return LeftOut(multiply_adds=(c - -(-c // self.every)) * guidance.rows * model.reusable)

    def refuse(
        self, model: Described, verifier: Verifier, algorithm: Algorithm, guidance: Guidance, c: int, final: int
    ) -> None:
        super().refuse(model, verifier, algorithm, guidance, c, final)
        if model.reusable is None:
            raise Refused(
                f"draft=cache: the blocks of {model.name} are not known; models of SiT and DiT have some, and pipelines"
                " of FLUX, SD3, PixArt, SANA and DiT"
            )

    def load(self, model: Model, settings: Described, device: str) -> Drafter:
        from noise_search.core.denoiser import rerouted
        from noise_search.networks.block_cache import Reuse

        each, reusing = settings.reusable, model.reusing
        assert each is not None and reusing is not None, f"{model.name} says that it has blocks, and has none"

        def make(problem: Problem, noise: Tensor, images: Tensor | None) -> tuple[Tensor, Tensor]:
            meters = problem.meters

            def solve(x: Tensor, who: Tensor) -> Solution:
                reuse = Reuse(self.every, self.order, self.threshold)
                solution = by(rerouted(meters, reusing(reuse)), problem, x, who)
                rows = who.repeat(meters.guidance.rows)
                meters.network.left_out.count.index_add_(0, rows, each * reuse.left_out.cpu())
                return solution

            return in_batches(problem, noise, images, solve)

        return Drafter(make)
