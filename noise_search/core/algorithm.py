"""The algorithm protocol. Nothing here imports torch, so that a plan can be made before anything heavy starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class Cost(NamedTuple):
    """NFE an image of one point run alone: metered search and final parts, and the published x-axis.

    backward: evaluations of the search that are also differentiated; one counts three forward passes in FLOPs. scored:
    images that the search shows to the verifier, the finished one not among them.
    """

    search: int
    final: int
    paper: int
    scored: int = 0
    backward: int = 0


class Leg(NamedTuple):
    """An integration of `nfe` evaluations from time `start` down to `end`."""

    nfe: int
    start: float = 1.0
    end: float = 0.0


class Result(NamedTuple):
    """What a search found: a point on a trajectory, that the driver's caller finishes.

    x: [B, ...] at time t: a noise (t = 1) that the final flow has still to render, or a finished sample (t = 0).
    score: float32 [B, V], of the search pass, one column a member of the verifier; NaN where none was made.
    candidate: int64 [B], the address of x within its search: equal addresses are equal x.
    views: [B, L, ...], clean predictions of a finished sample at the verifier's needs; L = 0 beside a noise.
    lineage: int64 [B, D], of a `Traceable` algorithm: the numbers that x is made again from; -1 stands for none.
    ties: int64 [B], of an algorithm that counts them: candidates that lost though their score was the winner's, or that
    of the last to go on.
    """

    x: Tensor
    t: float
    score: Tensor
    candidate: Tensor
    views: Tensor
    lineage: Tensor | None = None
    ties: Tensor | None = None


@runtime_checkable
class Algorithm(Protocol):
    """A frozen dataclass of hyper-parameters. `points`: its own axis of cost (N, K or M in the paper); 0: no search.

    Its state is a NamedTuple of tensors and numbers, with the number of its `round`: all that is needed to go on, so
    any round can be saved and restored.
    """

    name: str
    anytime: bool  # one run at the largest point passes through the result of every smaller one

    def refuse(self, verifier: Verifier) -> None:
        """Raise `Refused` where the verifier lacks what the algorithm needs; asked with the plan."""

    def cost(self, point: int, c: int, final: int) -> Cost:
        """Closed form, at c NFE a search iteration and `final` NFE a final generation; ValueError for a bad point."""

    def legs(self, c: int, final: int) -> list[Leg]:
        """Every integration whose end is scored: on its knots lie the views of self-supervised verifiers."""

    def at_once(self, point: int) -> int:
        """How many candidates of an image a round of a search for `point` evaluates together: so many rows of each
        fill a batch. Of an `Independent` one: all."""

    def rounds(self, point: int) -> int:
        """After how many rounds the state holds the result of `point`."""

    def init(self, problem: Problem, point: int) -> Any:
        """The state before the first round of a search for `point`; no evaluation."""

    def step(self, problem: Problem, state: Any) -> Any: ...
    def result(self, problem: Problem, state: Any, point: int) -> Result:
        """What the search found, read from the state after rounds(point) rounds; no evaluation."""


def require_point(name: str, point: int) -> None:
    if point < 0:
        raise Refused(f"{name}: point {point}; at least 0 (no search)")


@runtime_checkable
class Independent(Algorithm, Protocol):
    """An algorithm whose candidates do not depend on their scores, one a round: a run keeps the scores of all, and
    another verifier can choose among them afterwards (`noise-search select`)."""

    def extend(self, problem: Problem, state: Any, count: int) -> Any:
        """`count` steps at once."""

    def bank(self, state: Any) -> Tensor:
        """float32 [B, N, V], the scores of the first N candidates; an address is a column of it."""

    def resumed(self, bank: Tensor) -> Any:
        """The state that has these scores of the first candidates."""


@runtime_checkable
class Draftable(Algorithm, Protocol):
    """An algorithm whose every candidate is a noise, if `scores_noises`, made by `Problem.generate`: a draft can stand
    for it."""

    scores_noises: bool


@runtime_checkable
class Finishing(Algorithm, Protocol):
    """An algorithm that takes a candidate of as many evaluations as the final generation for the finished image."""

    def drafted(self) -> Algorithm:
        """Itself, that generates its winner again whatever a candidate cost: candidates are drafts."""


@runtime_checkable
class Climbing(Protocol):
    """An algorithm that follows a gradient: it can climb one number of a verifier and choose by another."""

    climbs: bool


@runtime_checkable
class Telling(Protocol):
    """An algorithm that says in words where it found a candidate."""

    def tell(self, candidate: int, point: int) -> str:
        """candidate: an address, of a search for `point`."""


@runtime_checkable
class Bounded(Algorithm, Protocol):
    """An algorithm whose search costs what the scores make it cost: its `cost` says the most, evaluations and scored
    images, and an image may cost less. Its curve stands at what its budgets allow, its bill at what was spent."""

    bounded: bool


def keeps(algorithm: Algorithm, metered: Any, planned: Any) -> bool:
    """Is what was metered (tensor or array) what the closed form promised; of a `Bounded` algorithm, at most that?"""
    return bool((metered <= planned if isinstance(algorithm, Bounded) else metered == planned).all())


def kept_latents(verifier: Verifier, point: int) -> int:
    """How many of `point` candidates of an image can still win, whatever comes: where each has a score of its own the
    best alone, else all of them, as in an ensemble, whose ranks change with every candidate."""
    return 1 if verifier.ranks_alone else point


@runtime_checkable
class Traceable(Algorithm, Protocol):
    """An algorithm whose result is made again from its lineage, whole numbers from 0 on that lead from a first noise to
    it, with neither search nor verifier."""

    address: str  # the image's number and its lineage, in words

    def owns(self, lineage: Sequence[int]) -> bool:
        """Could it be the lineage of one of its results?"""

    def remake(self, problem: Problem, lineages: Sequence[Sequence[int]]) -> tuple[Tensor, float]:
        """x [B, ...] and its t, as of `Result`, from the lineage of each image."""


class NoiseOfNumber:
    """`Traceable` and `Telling`, for algorithms whose result is one of an image's noises 0, 1, 2, ... by number; -1:
    the first, rendered without a search."""

    address: ClassVar[str] = "(image, candidate)"

    def tell(self, candidate: int, point: int) -> str:
        return f"candidate {candidate}" if candidate >= 0 else "the first noise"

    def owns(self, lineage: Sequence[int]) -> bool:
        return len(lineage) == 1

    def remake(self, problem: Problem, lineages: Sequence[Sequence[int]]) -> tuple[Tensor, float]:
        return problem.noise(problem.index.new_tensor(lineages)[:, 0]), 1.0


def unsearched(problem: Problem) -> Result:
    """The first noise of every image, unscored: what a budget without a search renders."""
    x = problem.noise(0)
    score = unscored(problem, x[:, None])[:, 0]
    first = problem.index.new_zeros(len(x))
    return Result(x, 1.0, score, first, no_views(x), first[:, None])


def unscored(problem: Problem, x: Tensor) -> Tensor:
    """x [B, K, ...] -> NaN [B, K, V]: the scores of candidates that the verifier has not seen."""
    return x.new_full((*x.shape[:2], len(problem.verifier.members)), float("nan"))


def no_views_of(x: Tensor) -> Tensor:
    """[B, K, ...] -> [B, K, 0, ...]: candidates that no view belongs to."""
    return x[:, :, None][:, :, :0]


def no_views(x: Tensor) -> Tensor:
    """[B, ...] -> [B, 0, ...]: of what is not finished, there are none."""
    return x[:, None][:, :0]
