"""Evolutionary search over noises: EvoSearch's operators at t = 1 (He et al., arXiv 2505.17618)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, no_views, require_point, unscored, unsearched
from noise_search.core.checks import require
from noise_search.core.gather import mix, take, top

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class EvolutionState(NamedTuple):
    """Of P individuals: noises x [B, P, ...], score float32 [B, P, V], address int64 [B, P].

    An address is j for individual j of the first generation, P + (round - 1) (P - E) + j for child j of a later one.
    lineage: int64 [B, P, 1 + round], the number of its first noise, then of each round the child that it was made as,
    -1 where it was an elite.
    """

    round: int
    x: Tensor
    score: Tensor
    address: Tensor
    lineage: Tensor


@dataclass(frozen=True)
class Evolution:
    """A population of P noises that breeds; its points are G, the generations. Anytime.

    The first generation are P independent noises. Each one after it is made of the `elites` E best, as they are, and of
    P - E children sqrt(1 - b^2) x + b eps of parents x, b the `mutation`: a Gaussian parent has Gaussian children. A
    parent is the best of a tournament, the `tournament` share of the population drawn without replacement. Elites are
    not scored again. The result is the best of the last generation; as the best is an elite, it never gets worse.
    Unlike the authors', the tournament is among the last generation, not all so far, and states on the way down are
    not mutated. Their script for Stable Diffusion has b = 0.2, E = 5, tournaments of 0.9, and P = 42 at first, then 26.
    Cost of G >= 1: c (P + (G - 1) (P - E)) + final.
    """

    population: int = 8
    elites: int = 2
    mutation: float = 0.2
    tournament: float = 0.9
    anytime: ClassVar[bool] = True
    scores_noises: ClassVar[bool] = True
    address: ClassVar[str] = "(image, noise, child of each mutation)"

    def __post_init__(self) -> None:
        require("population", self.population, self.population >= 2, "at least 2")
        within = 1 <= self.elites < self.population
        require("elites", self.elites, within, f"at least 1, below population={self.population}")
        require("mutation", self.mutation, 0 < self.mutation <= 1, "above 0, at most 1")
        require("tournament", self.tournament, 0 <= self.tournament <= 1, "from 0 (any parent) to 1 (the best)")

    @property
    def name(self) -> str:
        return f"Evolution-{self.population}"

    @property
    def children(self) -> int:
        return self.population - self.elites

    def refuse(self, verifier: Verifier) -> None:
        """Any will do."""

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        scored = self.population + (point - 1) * self.children if point else 0
        return Cost(c * scored, final, c * scored + final, scored)

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(c)]

    def at_once(self, point: int) -> int:
        return self.population

    def rounds(self, point: int) -> int:
        return point

    def init(self, problem: Problem, point: int) -> EvolutionState:
        x = problem.noises(self.population)
        address = problem.index.new_zeros(x.shape[:2])
        address = address + address.new_tensor(range(self.population))
        return EvolutionState(0, x, unscored(problem, x), address, address[..., None])

    def step(self, problem: Problem, state: EvolutionState) -> EvolutionState:
        import torch

        if state.round == 0:
            lineage = torch.nn.functional.pad(state.lineage, (0, 1), value=-1)
            return state._replace(round=1, score=problem.evaluate(state.x), lineage=lineage)
        order = problem.combine(state.score, self.population)
        elites, parents = top(order, self.elites), self.parents(problem, order, state.round)
        children = self.mutated(problem, take(state.x, parents), state.round)
        address = state.address.new_tensor(range(self.children)) + self.population + (state.round - 1) * self.children
        address = address.expand(len(children), -1)
        older, born = take(state.lineage, elites), take(state.lineage, parents)
        older = torch.nn.functional.pad(older, (0, 1), value=-1)
        return EvolutionState(
            state.round + 1,
            torch.cat([take(state.x, elites), children], 1),
            torch.cat([take(state.score, elites), problem.evaluate(children)], 1),
            torch.cat([take(state.address, elites), address], 1),
            torch.cat([older, torch.cat([born, address[..., None]], 2)], 1),
        )

    def parents(self, problem: Problem, order: Tensor, round: int) -> Tensor:
        """order [B, P], higher is better -> int64 [B, P - E], the winner of a tournament for every child."""
        size = max(1, int(self.tournament * self.population))
        numbers = problem.uniform(self.children * self.population, round, "tournament")
        places = numbers.unflatten(1, (self.children, self.population)).argsort(2).argsort(2)
        return order[:, None].expand(places.shape).masked_fill(places >= size, -float("inf")).argmax(2)

    def mutated(self, problem: Problem, parents: Tensor, round: int) -> Tensor:
        """parents [B, P - E, ...] or [B, 1, ...] -> children of a round [B, P - E, ...]."""
        draws = problem.noises(self.children, round, "mutate")
        return (1 - self.mutation**2) ** 0.5 * parents + self.mutation * draws

    def result(self, problem: Problem, state: EvolutionState, point: int) -> Result:
        if state.round == 0:
            return unsearched(problem)
        best = problem.combine(state.score, self.population).argmax(1)
        x, score, address, lineage = (take(values, best) for values in state[1:])
        return Result(x, 1.0, score, address, no_views(x), lineage)

    def tell(self, candidate: int, point: int) -> str:
        if candidate < self.population:
            return f"generation 1, noise {candidate + 1} of {self.population}" if candidate else "the first noise"
        round, child = divmod(candidate - self.population, self.children)
        return f"generation {round + 2}, child {child + 1} of {self.children}"

    def born(self, number: int) -> tuple[int, int]:
        """The round and place of a child with this address; the round is below 1 of those that are none."""
        round, child = divmod(number - self.population, self.children)
        return round + 1, child

    def owns(self, lineage: Sequence[int]) -> bool:
        if not lineage or lineage[0] >= self.population:
            return False
        return all(a < b for a, b in pairwise([0, *(self.born(number)[0] for number in lineage[1:])]))

    def remake(self, problem: Problem, lineages: Sequence[Sequence[int]]) -> tuple[Tensor, float]:
        """To the bit: the mutations of all are made round by round, as the search made them."""
        moves = [dict(map(self.born, chain)) for _, *chain in lineages]
        x = problem.noise(problem.index.new_tensor([first for first, *_ in lineages]))
        for round in sorted({round for own in moves for round in own}):
            chosen = problem.index.new_tensor([own.get(round, -1) for own in moves])
            x = mix(chosen >= 0, take(self.mutated(problem, x[:, None], round), chosen.clamp_min(0)), x)
        return x, 1.0
