"""The draft protocol: how a search makes what its verifier looks at. A draft ranks, the full model renders."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Draftable, Finishing
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.algorithm import Algorithm
    from noise_search.core.denoiser import Denoiser
    from noise_search.core.driver import Spent
    from noise_search.core.flow import Solution
    from noise_search.core.guidance import Guidance
    from noise_search.core.model import Described, Model, ModelSettings
    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class LeftOut(NamedTuple):
    """What a candidate costs less than its evaluations would with the whole network: network rows that are not made,
    and multiply-adds that are left out of the rows that are."""

    rows: int = 0
    multiply_adds: int = 0

    def times(self, count: int) -> LeftOut:
        """Of so many candidates."""
        return LeftOut(self.rows * count, self.multiply_adds * count)


NOTHING = LeftOut()


class Drafter(NamedTuple):
    """A draft that is loaded. make: (problem, noises [B, K, ...] at t = 1, images as of `Problem.who`) -> clean latents
    [B, K, ...] and views [B, K, L, ...], metered; weights: file name -> sha256 of what it brought with it."""

    make: Callable[[Problem, Tensor, Tensor | None], tuple[Tensor, Tensor]]
    weights: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Draft(ABC):
    """A frozen dataclass of settings, made without torch. By itself: the whole model, in c evaluations.

    exact: a candidate with as many evaluations as the final generation is the image. differentiable: a gradient can
    reach the noise. bounded: what it leaves out depends on the data, `left_out` is the least. views: it makes the clean
    predictions that self-supervised verifiers read.
    """

    name: ClassVar[str]
    exact: ClassVar[bool] = False
    differentiable: ClassVar[bool] = False
    bounded: ClassVar[bool] = False
    views: ClassVar[bool] = True

    def evaluations(self, c: int, model: Described) -> int:
        """NFE of a candidate, at c NFE a search iteration."""
        return c

    def left_out(self, c: int, model: Described, guidance: Guidance) -> LeftOut:
        """Of a candidate, in closed form."""
        return NOTHING

    def refuse(
        self, model: Described, verifier: Verifier, algorithm: Algorithm, guidance: Guidance, c: int, final: int
    ) -> None:
        """Raise `Refused` where it cannot serve; asked with the plan."""
        if not (isinstance(algorithm, Draftable) and algorithm.scores_noises):
            raise Refused(f"draft={self.name}: candidates of {algorithm.name} are no noises, of which a draft is made")
        if not self.differentiable and algorithm.cost(1, c, final).backward:
            raise Refused(f"draft={self.name}: {algorithm.name} differentiates its candidates, which it cannot")
        if not self.views and verifier.needs:
            raise Refused(f"draft={self.name}: verifier {verifier.name} reads views, it makes none")

    def beside(self, algorithm: Algorithm) -> Algorithm:
        """The algorithm, which takes none of these candidates for the finished image."""
        return algorithm if self.exact or not isinstance(algorithm, Finishing) else algorithm.drafted()

    def settled(self, settle: Callable[[ModelSettings], ModelSettings]) -> Draft:
        """With its own models as `settle` leaves them: in the precision of the run, where they leave that to it."""
        return self

    def load(self, model: Model, settings: Described, device: str) -> Drafter:
        """What makes candidates for `model`, which was loaded from `settings`, on `device`."""
        return WHOLE


def bills(draft: Draft, less: LeftOut, c: int, rows: int, spent: Spent, searched: Tensor) -> bool:
    """Are network rows `rows` times the evaluations, less what the draft left out of the candidates that `searched`
    int64 [B] evaluations made, c each? Of a draft that decides by the data, `less` has the least multiply-adds."""
    candidates = searched // c
    made = rows * spent.evaluations - candidates * less.rows
    left_out = candidates * less.multiply_adds
    kept = spent.left_out >= left_out if draft.bounded else spent.left_out == left_out
    return bool((spent.rows == made).all()) and bool(kept.all())


def whole(problem: Problem, noise: Tensor, images: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Candidates by the whole model: search_nfe evaluations each."""
    return problem.solve(noise, problem.grid(problem.search_nfe), problem.verifier.needs, images)


WHOLE = Drafter(whole)


def in_batches(
    problem: Problem, noise: Tensor, images: Tensor | None, solve: Callable[[Tensor, Tensor], Solution]
) -> tuple[Tensor, Tensor]:
    """As `whole`, by solve(x [N, ...], who [N]), each batch of rows alone from noise to image: for denoisers that
    remember on the way."""
    import torch

    b, k = noise.shape[:2]
    size = max(1, problem.meters.network.batches.size // problem.meters.guidance.rows)
    rows = zip(noise.flatten(0, 1).split(size), problem.who(k, images).split(size), strict=True)
    try:
        with problem.watch("denoise"):
            parts = [solve(x, who) for x, who in rows]
    except torch.OutOfMemoryError as error:
        most = size * problem.meters.guidance.rows
        raise Refused(
            f"draft: out of memory with {most} rows at a time, and what it remembers; lower batch_size"
        ) from error
    x, views = (torch.cat(column).unflatten(0, (b, k)) for column in zip(*parts, strict=True))
    return x, views


def by(denoiser: Denoiser, problem: Problem, x: Tensor, who: Tensor) -> Solution:
    """x [N, ...] at t = 1 -> candidates, in search_nfe evaluations of another denoiser."""
    flow = replace(problem.flow, denoiser=denoiser)
    return flow.solve(x, problem.grid(problem.search_nfe), who, problem.verifier.needs)
