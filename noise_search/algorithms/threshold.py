"""Random search that moves on when an image is good enough: what hard images need is not spent on easy ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, NoiseOfNumber, Result, no_views, require_point, unsearched
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class ThresholdState(NamedTuple):
    """going: bool [B], is its best not good enough yet; best [B, ...], score float32 [B, V], address int64 [B]."""

    round: int
    going: Tensor
    best: Tensor
    best_score: Tensor
    best_address: Tensor


@dataclass(frozen=True)
class Threshold(NoiseOfNumber):
    """Independent noises, one a round, until one scores at least `enough`; its points are N, the most of an image.
    Anytime.

    enough: in the unit of the verifier's score, that of the search pass. Candidates are those of random search; where
    none is good enough the result is the best of N, too. Verifiers that rank candidates against each other are refused:
    no place of theirs is good enough by itself.
    Cost of N >= 1: at most c N + final, of every image as many candidates as it took.
    """

    enough: float = 5.0
    name: ClassVar[str] = "threshold"
    anytime: ClassVar[bool] = True
    scores_noises: ClassVar[bool] = True
    bounded: ClassVar[bool] = True

    def refuse(self, verifier: Verifier) -> None:
        if not verifier.ranks_alone:
            raise Refused(f"threshold: verifier {verifier.name} ranks candidates against each other; none is enough")

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        return Cost(c * point, final, c * point + final, point)

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(c)]

    def at_once(self, point: int) -> int:
        return 1

    def rounds(self, point: int) -> int:
        return point

    def init(self, problem: Problem, point: int) -> ThresholdState:
        self.refuse(problem.verifier)
        x, _, score, address, *_ = unsearched(problem)
        return ThresholdState(0, address == 0, x, score, address)

    def step(self, problem: Problem, state: ThresholdState) -> ThresholdState:
        images = state.going.nonzero()[:, 0]
        if not len(images):
            return state._replace(round=state.round + 1)
        x = problem.noises(1, first=state.round)[images]
        score = problem.evaluate(x, images.cpu())[:, 0]
        better = problem.prefers(score, state.best_score[images])
        going, best, best_score, best_address = (values.clone() for values in state[1:])
        best[images[better]] = x[better, 0]
        best_score[images[better]] = score[better]
        best_address[images[better]] = state.round
        going[images] = problem.combine(best_score[images, None])[:, 0] < self.enough
        return ThresholdState(state.round + 1, going, best, best_score, best_address)

    def result(self, problem: Problem, state: ThresholdState, point: int) -> Result:
        x = state.best
        return Result(x, 1.0, state.best_score, state.best_address, no_views(x), state.best_address[:, None])
