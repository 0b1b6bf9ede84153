"""Rollover budget forcing: what a step does not use, the next ones have."""

import itertools

import pytest
import torch

from noise_search.algorithms.rbf import RBF, RBFState
from noise_search.algorithms.svdd import SVDD
from noise_search.core.driver import search
from noise_search.errors import Refused
from tests.conftest import Function, Setup, make_setup


def ran(setup: Setup, quota: int, **options: int) -> list[RBFState]:
    return list(search(setup.problem, RBF(**{"particles": 1, "steps": 6, **options}), quota))


def test_every_image_costs_the_same_and_spends_it_where_it_needs_it() -> None:
    setup = make_setup(images=60)
    states = ran(setup, 4, particles=3)
    assert setup.guided.evaluations.count.tolist() == [3 + 4 * 5] * 60
    left = torch.stack([state.left for state in states[1:5]])
    assert (left >= 0).all() and left.max() > 4 and (left[:, :] == 0).any()  # more than a quota, or nothing
    assert (states[5].left == 0).all()  # the last step with noise has used all
    for before, after in itertools.pairwise(states[1:6]):
        assert (after.record >= before.record).all() and (after.score <= after.record).all()
        rolled = after.left > 0
        assert torch.equal(after.score[rolled], after.record[rolled])  # what went on early had beaten the way before


def test_where_nothing_beats_the_first_every_step_uses_its_quota() -> None:
    """With a constant score nothing is left over, and the first noise of every step goes on."""
    setup = make_setup(images=5, verifier=Function(lambda images, _: images.new_zeros(len(images))))
    states = ran(setup, 3)
    assert all((state.left == 0).all() for state in states)
    same = make_setup(images=5, verifier=Function(lambda images, _: images.new_zeros(len(images))))
    *_, chain = search(same.problem, SVDD(steps=6), 1)
    assert torch.allclose(states[-1].x0, chain.x0[:, 0], atol=1e-5)


def test_where_everything_beats_the_last_all_is_kept_for_the_last_step() -> None:
    numbers = itertools.count()
    setup = make_setup(images=1, verifier=Function(lambda images, _: torch.full((len(images),), float(next(numbers)))))
    assert [int(state.left[0]) for state in ran(setup, 3)] == [0, 2, 4, 6, 8, 0, 0]


def test_an_image_is_searched_as_if_it_were_alone() -> None:
    together, alone = ran(make_setup(ids=[4, 5, 6]), 3)[-1], ran(make_setup(ids=[5]), 3)[-1]
    assert torch.allclose(together.x0[1], alone.x0[0], atol=1e-5) and together.left[1] == alone.left[0]


def test_bad_settings_are_refused() -> None:
    for options in ({"particles": 0}, {"steps": 1}, {"eta": 0.0}):
        with pytest.raises(Refused):
            RBF(**options)
