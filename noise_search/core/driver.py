"""The driver: a generator of states, and the readout of a whole NFE curve from one search (paper, section 3)."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from noise_search.core.algorithm import Algorithm, Independent, Result
from noise_search.core.denoiser import Guided
from noise_search.core.problem import Problem
from noise_search.core.stopwatch import Span


class Spent(NamedTuple):
    """int64 [B] each: evaluations, those of them that were differentiated, network rows, multiply-adds that a draft has
    left out of these."""

    evaluations: Tensor
    backward: Tensor
    rows: Tensor
    left_out: Tensor

    @classmethod
    def of(cls, meters: Guided) -> "Spent":
        network = meters.network
        counted = (meters.evaluations, meters.backward, network.rows, network.left_out)
        return cls(*(meter.count.clone() for meter in counted))

    @classmethod
    def nothing(cls, images: int) -> "Spent":
        return cls(*(torch.zeros(images, dtype=torch.int64) for _ in cls._fields))

    def since(self, before: "Spent") -> "Spent":
        return Spent(*(now - then for now, then in zip(self, before, strict=True)))


class Mark(NamedTuple):
    """Where the meters stood, and how many spans the watch had."""

    spent: Spent
    spans: int

    @classmethod
    def of(cls, problem: Problem) -> "Mark":
        return cls(Spent.of(problem.meters), len(problem.watch.spans))


class Readout(NamedTuple):
    """The result of `point` and what its search has spent; series: number of the search it was read from; spans: what
    of the problem's watch is of this point alone, to be read when nobody minds waiting for the device."""

    point: int
    series: int
    result: Result
    spent: Spent
    spans: Sequence[Span] = ()


def search(
    problem: Problem, algorithm: Algorithm, point: int, start: Any = None, stops: Sequence[int] = ()
) -> Iterator[Any]:
    """The state before the first round (`start`, if one was saved) and after each round that `point` needs.

    Candidates of an `Independent` algorithm are made as many at a time as fill a batch, one round each; no step passes
    over a round in `stops`.
    """
    state = algorithm.init(problem, point) if start is None else start
    yield state
    last = algorithm.rounds(point)
    while state.round < last:
        if isinstance(algorithm, Independent):
            stop = min(round for round in (*stops, last) if round > state.round)
            state = algorithm.extend(problem, state, min(stop - state.round, problem.at_once))
        else:
            state = algorithm.step(problem, state)
        yield state


def sweep_points(
    problem: Problem,
    algorithm: Algorithm,
    points: Sequence[int],
    meters: Guided,
    start: Any = None,
    begun: Mark | None = None,
    first: int = 0,
) -> Iterator[Any]:
    """Every state on the way and, as soon as it is reached, the `Readout` of every point.

    An anytime algorithm searches once, up to the largest point; another one searches for each point. Where no point
    needs a search, none is made. first: the number of the search to begin with, the others are done; start: a state to
    begin it from; begun: where the problem's counts stood when that search began.
    """
    searches = [list(points)] if algorithm.anytime else [[p] for p in points]
    for number, series in enumerate(searches[first:], first):
        before, seen = Mark.of(problem) if begun is None else begun
        own = list[Span]()
        free = {p: not algorithm.cost(p, problem.search_nfe, problem.final_nfe).search for p in series}
        due = {p: 0 if all(free.values()) else algorithm.rounds(p) for p in series}
        for state in search(problem, algorithm, series[-1] if any(due.values()) else 0, start, list(due.values())):
            yield state
            own += problem.watch.spans[seen:]
            for point in (p for p in series if due[p] == state.round):
                spent = Spent.of(meters).since(before)
                if free[point]:
                    spent = spent.since(spent)  # its own run would not have searched
                seen = len(problem.watch.spans)
                result = algorithm.result(problem, state, point)
                spans = [] if free[point] else own + problem.watch.spans[seen:]
                yield Readout(point, number, result, spent, spans)
            seen = len(problem.watch.spans)
        start, begun = None, None
