"""Evolutionary search: elites stay, children are Gaussian, tournaments prefer the good."""

import itertools

import pytest
import torch

from noise_search.algorithms.evolution import Evolution
from noise_search.algorithms.random import Random
from noise_search.core.driver import search
from noise_search.core.gather import take
from noise_search.core.problem import Problem
from noise_search.errors import Refused
from tests.conftest import make_setup


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


def test_bad_settings_are_refused() -> None:
    for options in ({"population": 1}, {"elites": 0}, {"elites": 8}, {"mutation": 0.0}, {"tournament": 1.1}):
        with pytest.raises(Refused):
            Evolution(**options)
