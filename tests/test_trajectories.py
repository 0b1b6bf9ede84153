"""Searches that choose the noises of a way down: what they promise."""

import pytest
import torch
from torch import Tensor

from noise_search.algorithms.epsilon_greedy import EpsilonGreedy
from noise_search.algorithms.svdd import SVDD
from noise_search.core.algorithm import Result
from noise_search.core.driver import search
from noise_search.core.problem import Problem
from noise_search.errors import Refused
from tests.conftest import make_setup


def found(problem: Problem, algorithm: EpsilonGreedy | SVDD, point: int) -> Result:
    *_, state = search(problem, algorithm, point)
    return algorithm.result(problem, state, point)


def test_with_epsilon_1_it_is_as_many_independent_branches() -> None:
    greedy = found(make_setup(images=30).problem, EpsilonGreedy(candidates=3, steps=6, epsilon=1.0), 4)
    branching = found(make_setup(images=30).problem, SVDD(steps=6), 12)
    assert torch.allclose(greedy.x, branching.x, atol=1e-5) and torch.allclose(greedy.score, branching.score, atol=1e-5)


def test_candidates_are_near_the_pivot_or_fresh_as_often_as_epsilon_says() -> None:
    problem, algorithm = make_setup(images=500).problem, EpsilonGreedy(candidates=4, radius=0.1, epsilon=0.25)
    pivot = problem.noise(0)
    distance = (algorithm.tried(problem, pivot, 3, 2) - pivot[:, None]).flatten(2).norm(dim=2) / 2**0.5
    near = distance < 0.1
    assert float(near.double().mean()) == pytest.approx(0.75, abs=0.03)
    assert float(distance[near].mean()) == pytest.approx(0.05, abs=0.005)
    fresh = problem.noises(4, 3, "jump", first=8)
    assert torch.equal(algorithm.tried(problem, pivot, 3, 2)[distance > 0.5], fresh[distance > 0.5])


def test_the_score_of_a_step_never_falls_with_more_rounds_and_the_last_round_need_not_be_the_best() -> None:
    """The states after one step are those of the same search with fewer rounds, or better."""
    algorithm, scores = EpsilonGreedy(candidates=2, steps=6), list[Tensor]()
    for rounds in (1, 2, 4, 8):
        scores.append(list(search(make_setup(images=60).problem, algorithm, rounds))[1].score[:, 0])
    rises = torch.stack(scores).diff(dim=0)
    assert (rises >= -1e-6).all() and (rises > 1e-4).double().mean() > 0.2 and (rises.abs() < 1e-6).any()


def test_bad_settings_are_refused() -> None:
    for options in ({"candidates": 0}, {"radius": 0.0}, {"epsilon": 1.5}, {"steps": 1}, {"eta": 0.0}):
        with pytest.raises(Refused):
            EpsilonGreedy(**options)
