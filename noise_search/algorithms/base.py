"""The algorithm protocol. Nothing here imports torch, so that a plan can be made before anything heavy starts."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.problem import Problem


class State(NamedTuple):
    """The best found so far, after `round` rounds.

    x: [B, ...], a point on a trajectory at time t (1: a noise that the final flow has still to render).
    score: float32 [B], of the search pass; -inf before the first evaluation.
    candidate: int64 [B], the address of x: equal addresses are equal noises, so a standing winner is rendered once.
    """

    round: int
    x: Tensor
    t: float
    score: Tensor
    candidate: Tensor


class Algorithm(Protocol):
    """A frozen dataclass of hyper-parameters. `points` are its own axis of cost (N, K or M in the paper)."""

    name: str
    anytime: bool  # one run at the largest point passes through the result of every smaller one

    def search_nfe(self, point: int, c: int) -> int:
        """NFE an image that the search of `point` alone spends, at `c` NFE an iteration; 0: no search is needed."""

    def nfe_paper(self, point: int, c: int, final: int) -> int:
        """The published x-axis of `point` (facts of the paper's section 4 and appendix; not what a run spends)."""

    def rounds(self, point: int) -> int:
        """After how many rounds the state is the result of `point`."""

    def init(self, problem: Problem) -> State: ...
    def step(self, problem: Problem, state: State) -> State: ...
