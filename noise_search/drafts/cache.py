"""Features reused: most blocks of the transformer are not run at every evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from noise_search.core.checks import require, whole
from noise_search.core.draft import NOTHING, Draft, Drafter, LeftOut, by, in_batches
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.algorithm import Algorithm
    from noise_search.core.flow import Solution
    from noise_search.core.guidance import Guidance
    from noise_search.core.model import Model, ModelSettings
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

    def left_out(self, c: int, model: ModelSettings, guidance: Guidance) -> LeftOut:
        if model.blocks is None or self.every is None:
            return NOTHING
        reused = c - -(-c // self.every)
        return LeftOut(multiply_adds=reused * guidance.rows * (model.blocks.depth - 1) * model.blocks.multiply_adds)

    def refuse(
        self, model: ModelSettings, verifier: Verifier, algorithm: Algorithm, guidance: Guidance, c: int, final: int
    ) -> None:
        super().refuse(model, verifier, algorithm, guidance, c, final)
        if model.blocks is None or model.multiply_adds is None:
            raise Refused(f"draft=cache: the blocks of {model.name} are not known; models of SiT and DiT have some")

    def load(self, model: Model, settings: ModelSettings, device: str) -> Drafter:
        from noise_search.core.denoiser import rerouted
        from noise_search.networks.block_cache import CachedTransformer

        network: Any = model.network
        assert settings.blocks is not None
        each = settings.blocks.multiply_adds

        def make(problem: Problem, noise: Tensor, images: Tensor | None) -> tuple[Tensor, Tensor]:
            meters = problem.meters

            def solve(x: Tensor, who: Tensor) -> Solution:
                cached = CachedTransformer(network.net, self.every, self.order, self.threshold)
                solution = by(rerouted(meters, network.over(cached)), problem, x, who)
                rows = who.repeat(meters.guidance.rows)
                meters.network.left_out.count.index_add_(0, rows, each * cached.left_out.cpu())
                return solution

            return in_batches(problem, noise, images, solve)

        return Drafter(make)
