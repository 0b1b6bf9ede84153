"""The driver: a generator of states, and the readout of a whole NFE curve from one search (paper, section 3)."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor

from noise_search.algorithms.base import Algorithm, State
from noise_search.denoiser import Guided
from noise_search.problem import Problem


class Readout(NamedTuple):
    """The state that is the result of `point`, and what its search has spent: int64 [B] evaluations, network rows."""

    point: int
    state: State
    evaluations: Tensor
    rows: Tensor


def search(problem: Problem, algorithm: Algorithm, rounds: int) -> Iterator[State]:
    """The state before the first round and after each of `rounds` rounds."""
    state = algorithm.init(problem)
    yield state
    while state.round < rounds:
        state = algorithm.step(problem, state)
        yield state


def sweep(problem: Problem, algorithm: Algorithm, points: Sequence[int], meters: Guided) -> Iterator[Readout | State]:
    """Every state on the way and, as soon as it is reached, the readout of every point.

    An anytime algorithm searches once, up to the largest point; another one searches for each point. Where no point
    needs a search, none is made.
    """
    for series in [list(points)] if algorithm.anytime else [[p] for p in points]:
        evaluations, rows = meters.evaluations.count.clone(), meters.network.rows.count.clone()
        needed = any(algorithm.search_nfe(p, problem.grid.nfe) for p in series)
        due = {p: algorithm.rounds(p) if needed else 0 for p in series}
        for state in search(problem, algorithm, max(due.values())):
            yield state
            for point in (p for p in series if due[p] == state.round):
                spent = meters.evaluations.count - evaluations, meters.network.rows.count - rows
                if not algorithm.search_nfe(point, problem.grid.nfe):
                    spent = evaluations * 0, rows * 0  # its own run would not have searched
                yield Readout(point, state, *spent)
