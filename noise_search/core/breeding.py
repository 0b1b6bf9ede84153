"""Breeding of noises and of states on their way: mutation, tournaments, and the addresses of what is born."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from noise_search.core.algorithm import no_views_of
from noise_search.core.gather import mix, take
from noise_search.core.stops import Stops
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem


class Breeding:
    """What `Evolution` does with its settings (there they are told), `Telling` and `Traceable`.

    Individual j of the first generation has the number `first_number` + j, child j of round r = 1, 2, ... the number
    first_number + population + (r - 1) children + j. Below first_number there is the unsearched first noise, if any.
    """

    population: int
    elites: int
    mutation: float
    tournament: float
    times: tuple[float, ...]
    sde_step: float

    @property
    def name(self) -> str:
        return f"{'Evolution' if self.scores_noises else 'EvoSearch'}-{self.population}"

    @property
    def children(self) -> int:
        return self.population - self.elites

    @property
    def stops(self) -> Stops:
        return Stops(tuple(dict.fromkeys((1.0, *self.times))))

    @property
    def scores_noises(self) -> bool:
        return self.times[-1] == 1

    @property
    def first_number(self) -> int:
        return 0 if self.scores_noises else 1  # 0 is the unsearched first noise, which is no finished sample

    @property
    def address(self) -> str:
        made = "(image, noise, child of each mutation)"
        return made if self.scores_noises else f"{made}, or (image, 0) unsearched"

    def stop(self, round: int) -> int:
        """The stop at which the children of round 1, 2, ... are born."""
        return self.stops.times.index(self.times[min(round, len(self.times)) - 1])

    def grown(self, problem: Problem, x: Tensor, stop: int) -> tuple[Tensor, Tensor]:
        """x [B, K, ...] at a stop -> what it is from there on, as of `EvolutionState`, and its scores [B, K, V]."""
        if self.scores_noises:
            return x[:, :, None], problem.evaluate(x)
        states = self.stops.down(problem, x, stop)
        return states, problem.score(states[:, :, -1], no_views_of(x))

    def parents(self, problem: Problem, order: Tensor, round: int) -> Tensor:
        """order [B, P], higher is better -> int64 [B, P - E], the winner of a tournament for every child."""
        size = max(1, int(self.tournament * self.population))
        numbers = problem.uniform(self.children * self.population, round, "tournament")
        places = numbers.unflatten(1, (self.children, self.population)).argsort(2).argsort(2)
        return order[:, None].expand(places.shape).masked_fill(places >= size, -float("inf")).argmax(2)

    def mutated(self, problem: Problem, parents: Tensor, round: int) -> Tensor:
        """parents [B, P - E, ...] or [B, 1, ...] -> children of a round [B, P - E, ...]."""
        draws = problem.noises(self.children, round, "mutate")
        if (t := self.stops.times[self.stop(round)]) == 1:
            return (1 - self.mutation**2) ** 0.5 * parents + self.mutation * draws
        return parents + problem.flow.fresh(min(1.0, t + self.sde_step), t) * draws

    def born(self, number: int) -> tuple[int, int]:
        """The round and place of a child with this number; the round is below 1 of those that are none."""
        round, child = divmod(number - self.first_number - self.population, self.children)
        return round + 1, child

    def tell(self, candidate: int, point: int) -> str:
        individual = candidate - self.first_number
        if individual < self.population:
            return f"generation 1, noise {individual + 1} of {self.population}" if candidate else "the first noise"
        round, child = self.born(candidate)
        return f"generation {round + 1}, child {child + 1} of {self.children}"

    def owns(self, lineage: Sequence[int]) -> bool:
        if self.first_number and list(lineage) == [0]:
            return True
        if not lineage or not 0 <= lineage[0] - self.first_number < self.population:
            return False
        return all(a < b for a, b in pairwise([0, *(self.born(number)[0] for number in lineage[1:])]))

    def remake(self, problem: Problem, lineages: Sequence[Sequence[int]]) -> tuple[Tensor, float]:
        """The mutations of all are made round by round, as the search made them: noises to the bit, finished samples
        by the c evaluations of one way down."""
        noises, at = [first - self.first_number for first, *_ in lineages], 0
        if min(noises) < 0:
            if max(noises) >= 0:
                raise Refused(f"{self.name}: of these images some were searched and some not; make them apart")
            return problem.noise(0), 1.0
        moves = [dict(map(self.born, chain)) for _, *chain in lineages]
        x = problem.noise(problem.index.new_tensor(noises))
        for round in sorted({round for own in moves for round in own}):
            x, at = self.stops.down(problem, x[:, None], at, stop := self.stop(round))[:, 0, -1], stop
            chosen = problem.index.new_tensor([own.get(round, -1) for own in moves])
            x = mix(chosen >= 0, take(self.mutated(problem, x[:, None], round), chosen.clamp_min(0)), x)
        return (x, 1.0) if self.scores_noises else (self.stops.down(problem, x[:, None], at)[:, 0, -1], 0.0)
