"""Guidance reused: the null branch of classifier-free guidance is not run at every evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from noise_search.core.checks import require, whole
from noise_search.core.draft import Draft, Drafter, LeftOut, by, in_batches
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.algorithm import Algorithm
    from noise_search.core.denoiser import Guided, Prediction
    from noise_search.core.flow import Solution
    from noise_search.core.guidance import Guidance
    from noise_search.core.interpolant import Interpolant
    from noise_search.core.model import Described, Model
    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class ReusedNull:
    """A guided denoiser of one batch of rows on its way: (x [N, ...], t [N], who [N]) -> Prediction.

    At evaluations 0, every, 2 every, ... both branches run; in between the conditional one alone, and the null branch
    is taken to be as far from it as it was then, by s d in x0 and -a d in eps, d [N, ...], so that x = a x0 + s eps.
    """

    def __init__(self, guided: Guided, interpolant: Interpolant, every: int) -> None:
        self.guided, self.interpolant, self.every = guided, interpolant, every
        self.made = 0
        self.apart: Tensor | None = None  # d

    def __call__(self, x: Tensor, t: Tensor, who: Tensor) -> Prediction:
        import torch

        from noise_search.core.denoiser import Prediction
        from noise_search.core.interpolant import expand

        guided, network, path = self.guided, self.guided.network, self.interpolant
        a, s = (expand(value.to(x.dtype), x) for value in (path.signal(t), path.noise(t)))
        guided.evaluations.add(who)
        full = self.made % self.every == 0
        self.made += 1
        if full:
            out = network(
                torch.cat([x, x]),
                torch.cat([t, t]),
                torch.cat([who, torch.full_like(who, guided.images)]),
                torch.cat([who, who]),
            )
            (x0, x0_null), (eps, eps_null) = out.x0.chunk(2), out.eps.chunk(2)
            self.apart = (s * (x0 - x0_null) - a * (eps - eps_null)) / (a**2 + s**2)
        else:
            x0, eps = network(x, t, who, who)
        assert self.apart is not None
        null = x0 - s * self.apart, eps + a * self.apart
        return Prediction(guided.mix(x0, null[0], t), guided.mix(eps, null[1], t))


@dataclass(frozen=True)
class GuidanceReuse(Draft):
    """every: evaluations from one run of the null branch to the next. Cost: c NFE, c + ceil(c / every) network rows."""

    every: int
    name: ClassVar[str] = "cfg"

    def __post_init__(self) -> None:
        require("every", self.every, whole(self.every) and self.every >= 2, "a whole number, at least 2")

    def left_out(self, c: int, model: Described, guidance: Guidance) -> LeftOut:
        return LeftOut(rows=c - -(-c // self.every))

    def refuse(
        self, model: Described, verifier: Verifier, algorithm: Algorithm, guidance: Guidance, c: int, final: int
    ) -> None:
        super().refuse(model, verifier, algorithm, guidance, c, final)
        if guidance.rows == 1:
            raise Refused(f"draft=cfg: {guidance.name} has no null branch; give cfg_scale")

    def load(self, model: Model, settings: Described, device: str) -> Drafter:
        def make(problem: Problem, noise: Tensor, images: Tensor | None) -> tuple[Tensor, Tensor]:
            def solve(x: Tensor, who: Tensor) -> Solution:
                return by(ReusedNull(problem.meters, problem.flow.interpolant, self.every), problem, x, who)

            return in_batches(problem, noise, images, solve)

        return Drafter(make)
