"""Another, smaller model: the same noise goes through it, and the large one renders the winner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from noise_search.core.draft import NOTHING, Draft, Drafter, LeftOut, whole
from noise_search.core.guidance import NO_GUIDANCE
from noise_search.core.model import Described, ModelSettings, load_model
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.algorithm import Algorithm
    from noise_search.core.guidance import Guidance
    from noise_search.core.model import Described, Model
    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


@dataclass(frozen=True)
class Small(Draft):
    """model: of classes, on the same latents. Cost: c NFE, whose rows count as many multiply-adds as the small model's.

    How well it ranks depends on how alike the two map a noise to an image: a distilled one does better than one that
    was trained on its own.
    """

    model: ModelSettings
    name: ClassVar[str] = "small"

    def left_out(self, c: int, model: Described, guidance: Guidance) -> LeftOut:
        if model.multiply_adds is None or self.model.multiply_adds is None:
            return NOTHING
        return LeftOut(multiply_adds=c * guidance.rows * (model.multiply_adds - self.model.multiply_adds))

    def refuse(
        self, model: Described, verifier: Verifier, algorithm: Algorithm, guidance: Guidance, c: int, final: int
    ) -> None:
        super().refuse(model, verifier, algorithm, guidance, c, final)
        small = self.model
        for what in ("shape", "classes", "class_set"):
            if getattr(small, what) != getattr(model, what):
                raise Refused(f"draft=small: {what} {getattr(small, what)} of {small.name} for {model.name}'s")
        if model.classes is None:
            raise Refused(f"draft=small: {model.name} reads texts; only models of classes have small ones")

    def settled(self, settle: Callable[[ModelSettings], ModelSettings]) -> Small:
        return replace(self, model=settle(self.model))

    def load(self, model: Model, settings: Described, device: str) -> Drafter:
        from noise_search.core.denoiser import metered_denoiser
        from noise_search.core.flow import Flow

        small, spared = load_model(self.model, device), self.left_out(1, settings, NO_GUIDANCE).multiply_adds

        def make(problem: Problem, noise: Tensor, images: Tensor | None) -> tuple[Tensor, Tensor]:
            own, null = small.condition(problem.index, problem.texts), small.null(problem.index.device)
            meters = problem.meters
            denoiser = metered_denoiser(small.network, own, null, meters.guidance, meters.network.batches)
            flow = Flow(denoiser, small.interpolant, problem.flow.decoder)
            out = whole(replace(problem, flow=flow), noise, images)
            meters.evaluations.count += denoiser.evaluations.count
            meters.network.rows.count += denoiser.network.rows.count
            meters.network.left_out.count += denoiser.network.rows.count * spared
            return out

        return Drafter(make, small.weights)
