"""Evolutionary search over noises and over states on their way to an image (He et al., arXiv 2505.17618)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.core.algorithm import Cost, Leg, Result, no_views, require_point, unscored, unsearched
from noise_search.core.breeding import Breeding
from noise_search.core.checks import finite, require
from noise_search.core.descent import refuse_views
from noise_search.core.gather import take, top

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


class EvolutionState(NamedTuple):
    """Of P individuals: x [B, P, S, ...], what they are at each of the S stops and, where there is more than one, at
    t = 0 after them (before the first round noises); score float32 [B, P, V], address int64 [B, P].

    Where a child was born on the way, its x at earlier stops are its parent's. lineage: int64 [B, P, 1 + round], the
    number of its first noise, then of each round the child that it was made as, -1 where it was an elite.
    """

    round: int
    x: Tensor
    score: Tensor
    address: Tensor
    lineage: Tensor


@dataclass(frozen=True)
class Evolution(Breeding):
    """A population of P that breeds; its points are G, the generations. Anytime.

    The first generation are P independent noises. Each one after it is made of the `elites` E best, as they are, and of
    P - E children. A parent is the best of a tournament, the `tournament` share of the population drawn without
    replacement. Elites are not scored again. The result is the best of the last generation; as the best is an elite,
    it never gets worse.

    times: where each generation after the first is bred, the last one for all that follow. At t = 1, the default, a
    child is the noise sqrt(1 - b^2) x + b eps of its parent x, b the `mutation`: Gaussian parents have Gaussian
    children, and the result is a noise to be rendered. Below 1 it is x + v eps of the state x of its parent there,
    v the noise that an ancestral step of length `sde_step` to there adds, and goes on from there: about c t evaluations
    (`Stops.left`). Then the result is a finished sample of c evaluations: no final render. Noise is added, not
    exchanged: children born at .6 on the exact mixture lose .1 nats of likelihood, .5 with a step of .1.

    Unlike the authors', the way down is the ODE's, so that an elite stays what was scored; the tournament is among the
    last generation, not all so far; its size is the same in each. Their script for Stable Diffusion has b = 0.2, E = 5,
    tournaments of 0.9, times 1, .6, .4, .2 by 50 steps (whose v is), and P = 42, then 26, 26, 26, 30.
    Cost of G >= 1, bred at t = 1 only: c (P + (G - 1) (P - E)) + final; else c P + (P - E) (c t_1 + ... + c t_(G-1)).
    """

    population: int = 8
    elites: int = 2
    mutation: float = 0.2
    tournament: float = 0.9
    times: tuple[float, ...] = (1.0,)
    sde_step: float = 0.02
    anytime: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require("population", self.population, self.population >= 2, "at least 2")
        among = 1 <= self.elites < self.population
        require("elites", self.elites, among, f"at least 1, below population={self.population}")
        require("mutation", self.mutation, 0 < self.mutation <= 1, "above 0, at most 1")
        require("tournament", self.tournament, 0 <= self.tournament <= 1, "from 0 (any parent) to 1 (the best)")
        require("sde_step", self.sde_step, 0 < self.sde_step <= 1, "above 0, at most 1")
        times = list(self.times) if isinstance(self.times, Sequence) and not isinstance(self.times, str) else []
        good = bool(times) and all(finite(t) and 0 < t <= 1 for t in times) and all(a >= b for a, b in pairwise(times))
        require("times", self.times, good, "numbers above 0, at most 1, none above the one before")
        object.__setattr__(self, "times", tuple(times))

    def refuse(self, verifier: Verifier) -> None:
        if not self.scores_noises:
            refuse_views(self.name, verifier)

    def cost(self, point: int, c: int, final: int) -> Cost:
        require_point(self.name, point)
        if not point:
            return Cost(0, final, final)
        left, rounds = self.stops.left(c), min(point - 1, len(self.times))
        born = sum(left[self.stop(round)] for round in range(1, rounds + 1)) + (point - 1 - rounds) * left[-1]
        search, scored = c * self.population + born * self.children, self.population + (point - 1) * self.children
        return Cost(search, final, search + final, scored) if self.scores_noises else Cost(search, 0, search, scored)

    def legs(self, c: int, final: int) -> list[Leg]:
        return [Leg(c)]

    def at_once(self, point: int) -> int:
        return self.population

    def rounds(self, point: int) -> int:
        return point

    def init(self, problem: Problem, point: int) -> EvolutionState:
        self.refuse(problem.verifier)
        x = problem.noises(self.population)
        number = problem.index.new_tensor(range(self.population)) + self.first_number
        address = number.expand(len(x), -1).contiguous()
        return EvolutionState(0, x[:, :, None], unscored(problem, x), address, address[..., None])

    def step(self, problem: Problem, state: EvolutionState) -> EvolutionState:
        import torch

        if state.round == 0:
            lineage = torch.nn.functional.pad(state.lineage, (0, 1), value=-1)
            x, score = self.grown(problem, state.x[:, :, 0], 0)
            return state._replace(round=1, x=x, score=score, lineage=lineage)
        order, stop = problem.combine(state.score, self.population), self.stop(state.round)
        elites, parents = top(order, self.elites), self.parents(problem, order, state.round)
        before = take(state.x, parents)
        children, score = self.grown(problem, self.mutated(problem, before[:, :, stop], state.round), stop)
        address = state.address.new_tensor(range(self.children)) + self.first_number + self.population
        address = (address + (state.round - 1) * self.children).expand(len(score), -1)
        older, born = take(state.lineage, elites), take(state.lineage, parents)
        older = torch.nn.functional.pad(older, (0, 1), value=-1)
        return EvolutionState(
            state.round + 1,
            torch.cat([take(state.x, elites), torch.cat([before[:, :, :stop], children], 2)], 1),
            torch.cat([take(state.score, elites), score], 1),
            torch.cat([take(state.address, elites), address], 1),
            torch.cat([older, torch.cat([born, address[..., None]], 2)], 1),
        )

    def result(self, problem: Problem, state: EvolutionState, point: int) -> Result:
        if state.round == 0:
            return unsearched(problem)
        best = problem.combine(state.score, self.population).argmax(1)
        x, score, address, lineage = (take(values, best) for values in state[1:])
        return Result(x[:, -1], float(self.scores_noises), score, address, no_views(x[:, -1]), lineage)
