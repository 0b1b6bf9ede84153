"""Evolutionary search: elites stay, children are Gaussian, tournaments prefer the good."""

import itertools

import pytest
import torch
from torch import Tensor

from noise_search.algorithms.evolution import Evolution
from noise_search.algorithms.random import Random
from noise_search.core.driver import search
from noise_search.core.gather import take
from noise_search.core.grid import Grid
from noise_search.core.problem import Problem
from noise_search.errors import Refused
from tests.conftest import Likeness, make_setup, small_mixture
from tests.test_against_hacking import described


def mean_score(problem: Problem, algorithm: Evolution | Random, point: int) -> float:
    *_, state = search(problem, algorithm, point)
    return float(algorithm.result(problem, state, point).score.mean())


def test_elites_go_on_as_they_are_and_are_not_scored_again() -> None:
    setup, algorithm = make_setup(images=30), Evolution(population=6, elites=2)
    states = list(search(setup.problem, algorithm, 6))
    for before, after in itertools.pairwise(states[1:]):
        best = before.score[..., 0].sort(dim=1, descending=True, stable=True).indices[:, :2]
        assert torch.equal(after.address[:, :2], before.address.gather(1, best))
        assert torch.equal(after.x[:, :2], take(before.x, best))
        assert torch.equal(after.score[:, :2, 0], before.score[..., 0].gather(1, best))
        assert (after.address[:, 2:] > before.address.max()).all()
    assert setup.problem.scored.count.tolist() == [6 + 5 * 4] * 30


def test_children_are_as_gaussian_as_their_parents_and_near_them() -> None:
    problem, algorithm = make_setup(images=400).problem, Evolution(population=42, elites=2, mutation=0.2)
    parents = problem.noises(algorithm.children)
    children = algorithm.mutated(problem, parents, 3)
    assert float(children.std()) == pytest.approx(1, abs=0.02)
    assert float((children * parents).mean()) == pytest.approx((1 - 0.2**2) ** 0.5, abs=0.02)


def test_a_tournament_of_all_is_won_by_the_best_and_one_of_none_by_anybody() -> None:
    problem, order = make_setup(images=500).problem, torch.tensor([[2.0, 0.0, 3.0, 1.0]]).expand(500, 4)
    shares = {}
    for share in (0.0, 0.5, 1.0):
        won = Evolution(population=4, elites=1, tournament=share).parents(problem, order, 1)
        assert won.shape == (500, 3)
        shares[share] = [float((won == i).double().mean()) for i in range(4)]
    assert shares[1.0] == [0, 0, 1, 0]
    assert shares[0.0] == pytest.approx([0.25] * 4, abs=0.04)
    assert shares[0.5] == pytest.approx([1 / 3, 0, 1 / 2, 1 / 6], abs=0.04)  # of two, the better


def test_selection_is_what_makes_it_better_than_as_many_independent_noises() -> None:
    """Twelve generations of five score 49 noises."""
    setup = make_setup(images=100, nfe=8)
    evolved = mean_score(setup.problem, Evolution(population=5, elites=1, mutation=0.5), 12)
    assert evolved > mean_score(setup.problem, Random(), 49) + 0.02


EVOSEARCH = {"population": 5, "elites": 2, "times": (1.0, 0.6, 0.2)}


@pytest.mark.parametrize("solver", ["heun", "euler"])
def test_children_on_the_way_start_from_the_state_of_their_parent_and_are_billed_what_is_left(solver: str) -> None:
    setup, algorithm = make_setup(images=12, nfe=10, solver=solver), Evolution(**EVOSEARCH)
    problem, states, bills = setup.problem, [], []
    for state in search(problem, algorithm, 5):
        states.append(state)
        bills.append(setup.guided.evaluations.count.tolist())
    spent = [[b - a for a, b in zip(*pair, strict=True)] for pair in itertools.pairwise(bills)]
    assert spent == [[5 * 10] * 12, [3 * 10] * 12, [3 * 6] * 12, [3 * 2] * 12, [3 * 2] * 12]
    for round, (stop, t) in {2: (1, 0.6), 3: (2, 0.2), 4: (2, 0.2)}.items():
        before, after = states[round], states[round + 1]
        parents = algorithm.parents(problem, before.score[..., 0], round)
        stored = take(before.x, parents)[:, :, stop]
        noise = problem.noises(3, round, "mutate") * problem.flow.fresh(t + 0.02, t)
        children = after.x[:, 2:]
        assert torch.equal(children[:, :, stop], stored + noise)
        end = problem.solve(children[:, :, stop], problem.grid({0.6: 6, 0.2: 2}[t], t, 0.0))[0]
        assert torch.allclose(children[:, :, -1], end, atol=1e-5)
        assert torch.allclose(after.score[:, 2:], problem.score(end, end[:, :, None][:, :, :0]), atol=1e-5)


@pytest.mark.parametrize("solver", ["heun", "euler"])
def test_a_way_down_in_legs_is_the_whole_one_and_its_states_lie_on_it(solver: str) -> None:
    setup, algorithm = make_setup(images=12, nfe=10, solver=solver), Evolution(**EVOSEARCH)
    *_, state = search(setup.problem, algorithm, 1)
    grid = setup.problem.grid(10)
    for place, t in enumerate([1.0, 0.6, 0.2, 0.0]):
        knot = min(range(len(grid.times)), key=lambda k: abs(grid.times[k] - t))
        part = Grid(grid.times[: knot + 1], grid.stages[:knot])
        there = setup.problem.solve(setup.problem.noises(5), part)[0]
        assert torch.allclose(state.x[:, :, place], there, atol=1e-5)


def test_what_an_sde_adds_is_what_a_mutation_on_the_way_adds() -> None:
    """From t = .62 to .6 on the linear path: .6/.62 sqrt(.62^2 - (.38 .6/.4)^2) = .2361."""
    problem = make_setup(images=300).problem
    states = problem.noises(36)
    apart = Evolution(population=40, elites=4, times=(0.6,)).mutated(problem, states, 1) - states
    assert float(apart.std()) == pytest.approx(0.2361, abs=0.003) and abs(float(apart.mean())) < 0.005
    assert abs(float((apart * states).mean())) < 0.005


def test_noise_that_is_added_on_the_way_takes_likelihood_and_more_with_longer_steps() -> None:
    """Of children of anybody at t = .6, 20 Heun evaluations in all: -.1 nats, -.5 with five times the step."""
    setup = make_setup(images=300, nfe=20)
    means = small_mixture().means[setup.problem.index].flatten(2)  # [B, 2, 2]

    def likely(x: Tensor) -> float:
        squares = (x.flatten(2)[:, :, None] - means[:, None]).square().sum(-1)
        return float((-squares / (2 * 0.2**2)).logsumexp(-1).mean())

    found = []
    for step in (0.02, 0.1):
        bred = Evolution(population=12, elites=1, tournament=0.0, times=(0.6,), sde_step=step)
        *_, first, second = search(setup.problem, bred, 2)
        found.append(likely(second.x[:, 1:, -1]) - likely(first.x[:, :, -1]))
    assert found == pytest.approx([-0.1, -0.47], abs=0.05)


def test_breeding_on_the_way_costs_less_and_finds_as_much() -> None:
    """Five generations of eight, bred at t = 1 or at the authors' times, of a reward that is a gentle slope."""
    way = Evolution(population=8, elites=2, times=(1.0, 0.6, 0.4, 0.2))
    setup = make_setup(images=100, nfe=10)
    assert way.cost(5, 10, 20).search == 8 * 10 + 6 * (10 + 6 + 4 + 2) == 212
    assert Evolution(population=8, elites=2).cost(5, 10, 20) == (8 * 10 + 6 * 40, 20, 340, 32, 0)
    assert mean_score(setup.problem, way, 5) > mean_score(setup.problem, Random(), 21) + 0.02
    first = mean_score(setup.problem, way, 1)
    assert mean_score(setup.problem, way, 5) > first + 0.05


def test_of_times_that_are_bred_at_twice_the_bill_is_of_each() -> None:
    bred = Evolution(population=4, elites=1, times=(1.0, 1.0, 0.5))
    assert [bred.cost(point, 8, 20).search for point in range(7)] == [0, 32, 56, 80, 92, 104, 116]
    assert [bred.cost(point, 8, 20).final for point in range(3)] == [20, 0, 0]


def test_times_between_which_no_evaluation_lies_are_refused() -> None:
    with pytest.raises(Refused, match=r"times 0.6 and 0.5: no evaluation lies between them at budget.search_nfe=4"):
        Evolution(times=(0.6, 0.5)).cost(3, 4, 8)


def test_on_the_way_there_are_no_noises_to_draft_and_no_views() -> None:
    with pytest.raises(Refused, match="compares an image with its views"):
        Evolution(times=(0.5,)).refuse(Likeness())
    Evolution().refuse(Likeness())
    with pytest.raises(Refused, match="candidates of EvoSearch-8 are no noises"):
        described("experiment=toy", "algorithm=evosearch", "draft=steps", "draft.nfe=4")
    described("experiment=toy", "algorithm=evolution", "draft=steps", "draft.nfe=4")
    assert Evolution().scores_noises and not Evolution(times=(1.0, 0.5)).scores_noises


@pytest.mark.parametrize(
    "options",
    [
        {"population": 1},
        {"elites": 0},
        {"elites": 8},
        {"mutation": 0.0},
        {"tournament": 1.1},
        {"times": ()},
        {"times": (0.5, 0.6)},
        {"times": (0.0,)},
        {"times": (1.1,)},
        {"times": 0.5},
        {"sde_step": 0},
    ],
)
def test_bad_settings_are_refused(options: dict) -> None:
    with pytest.raises(Refused):
        Evolution(**options)
