"""First-order search: gradient ascent of a verifier through the ODE (paper, section 3.2 and figure 14)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from noise_search.core.algorithm import Cost, Leg, Result, no_views, require_point, unsearched
from noise_search.core.checks import require
from noise_search.core.gather import mix
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class FirstOrderState(NamedTuple):
    """x: [B, ...], the noise to score next; best [B, ...], its score float32 [B, V] and address int64 [B]."""

    round: int
    x: Tensor
    best: Tensor
    best_score: Tensor
    best_address: Tensor


class GradientState(Protocol):
    """What every state of a search with gradients has, as `FirstOrderState` says."""

    @property
    def round(self) -> int: ...
    @property
    def x(self) -> Tensor: ...
    @property
    def best(self) -> Tensor: ...
    @property
    def best_score(self) -> Tensor: ...
    @property
    def best_address(self) -> Tensor: ...


@dataclass(frozen=True)
class GradientSearch:
    """What searches that differentiate the score share: a round scores one noise, differentiates, and moves it.

    Cost of S >= 1 moves: c (S + 1) evaluations, all of them differentiated too (the last noise's gradient is not used;
    so one search can be read out after every move). Memory: the latents between evaluations, no network activations.
    """

    name: ClassVar[str]
    anytime: ClassVar[bool] = True
    scores_noises: ClassVar[bool] = True
    climbs: ClassVar[bool] = True

    def refuse(self, verifier: Verifier) -> None:
        if not verifier.differentiable:
            raise Refused(f"{self.name}: verifier {verifier.name} has no gradient")

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        search = c * (point + 1) if point else 0
        return Cost(search, final, search + final, search // c, backward=search)

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(c)]

    def at_once(self, point: int) -> int:
        return 1

    def rounds(self, point: int) -> int:
        return point + 1 if point else 0

    def result(self, problem: Problem, state: GradientState, point: int) -> Result:
        return Result(state.best, 1.0, state.best_score, state.best_address, no_views(state.best))


def scored_gradient(
    problem: Problem, x: Tensor, beside: Callable[[Tensor], Tensor] | None = None
) -> tuple[Tensor, Tensor]:
    """Scores [B, V] of noises x [B, ...] and the gradient [B, ...] of what the verifier has climbed plus what `beside`
    says of them, [B]. c evaluations, differentiated."""
    import torch

    with torch.enable_grad():
        x = x.detach().requires_grad_()
        scores = problem.evaluate(x[:, None])
        with problem.watch("denoise"):
            climbed = problem.verifier.climb(scores).sum()
            if beside is not None:
                climbed = climbed + beside(x).sum()
            (gradient,) = torch.autograd.grad(climbed, x)
    return scores[:, 0].detach(), gradient


def best_of(problem: Problem, state: GradientState, score: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """best, best_score and best_address of a state whose x has this score [B, V]."""
    better = problem.prefers(score, state.best_score)
    return (
        mix(better, state.x, state.best),
        mix(better, score, state.best_score),
        state.best_address.masked_fill(better, state.round),
    )


@dataclass(frozen=True)
class FirstOrder(GradientSearch):
    """A round scores the noise, differentiates that score and moves along the gradient. Its points are S, the moves.

    step_size: length of a move as a share of the noise's norm, in (0, 1]; the norm is kept, as in zero-order search,
    because noises of another norm are not what the model was trained on. The gradient's length is not used.
    """

    step_size: float = 0.1
    name: ClassVar[str] = "first-order"

    def __post_init__(self) -> None:
        require("step_size", self.step_size, 0 < self.step_size <= 1, "above 0, at most 1")

    def init(self, problem: Problem, point: int) -> FirstOrderState:
        self.refuse(problem.verifier)
        x, _, score, address, *_ = unsearched(problem)
        return FirstOrderState(0, x, x, score, address)

    def step(self, problem: Problem, state: FirstOrderState) -> FirstOrderState:
        score, gradient = scored_gradient(problem, state.x)
        best = best_of(problem, state, score)
        return FirstOrderState(state.round + 1, ascend(state.x, gradient, self.step_size), *best)


def ascend(x: Tensor, gradient: Tensor, step_size: float) -> Tensor:
    """x, gradient [B, ...] -> x moved by step_size |x| along the gradient, then scaled back to its norm."""
    n, g = x.flatten(1), gradient.flatten(1)
    length = n.norm(dim=1, keepdim=True)
    moved = n + step_size * length * g / g.norm(dim=1, keepdim=True).clamp_min(1e-20)
    return (moved * length / moved.norm(dim=1, keepdim=True)).view_as(x)
