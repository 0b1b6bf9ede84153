"""Trust regions: radii that follow success, regions that begin anew, candidates that stay Gaussian."""

import itertools
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from noise_search.algorithms.random import Random
from noise_search.algorithms.trust_region import TrustRegion, TrustRegionState
from noise_search.core.driver import search
from noise_search.errors import Refused
from tests.conftest import Function, make_setup


def states(score: Callable[[Tensor, Tensor], Tensor], rounds: int, **options: object) -> list[TrustRegionState]:
    setup = make_setup(images=4, verifier=Function(score))
    return list(search(setup.problem, TrustRegion(**options), rounds))


def test_a_radius_grows_after_successes_up_to_the_longest() -> None:
    numbers = itertools.count()
    found = states(lambda images, _: torch.full((len(images),), float(next(numbers))), 9, radius=0.3, grow_after=3)
    radii = [float(state.radius[0, 0]) for state in found]
    assert radii == pytest.approx([1, 0.3, 0.3, 0.3, 0.6, 0.6, 0.6, 0.8, 0.8, 0.8])


def test_a_radius_shrinks_after_failures_until_its_region_begins_anew_and_the_best_is_remembered() -> None:
    found = states(lambda images, _: images.new_zeros(len(images)), 8, radius=0.4, shortest=0.15, shrink_after=2)
    radii = [float(state.radius[0, 0]) for state in found]
    assert radii == pytest.approx([1, 0.4, 0.4, 0.2, 0.2, 1, 0.4, 0.4, 0.2])
    assert found[5].score.isnan().all() and found[6].score.isfinite().all()
    assert not torch.equal(found[6].centre, found[5].centre) and torch.equal(found[4].centre, found[1].centre)
    assert all((state.best_address == 0).all() and (state.best_score == 0).all() for state in found[1:])
    algorithm, problem = TrustRegion(), make_setup(images=4).problem
    draws = problem.noises(8, 5, "region")
    assert torch.equal(algorithm.tried(problem, found[5]), draws)  # independent of where the region was


def test_candidates_are_as_gaussian_as_the_centre_and_as_near_as_the_radius() -> None:
    algorithm, problem = TrustRegion(), make_setup(images=500).problem
    state = algorithm.init(problem, 1)._replace(round=3)
    for radius in (0.1, 0.6):
        near = algorithm.tried(problem, state._replace(radius=torch.full_like(state.radius, radius)))
        assert float(near.std()) == pytest.approx(1, abs=0.05)
        similarity = float((near * problem.noise(0)[:, None]).mean() / problem.noise(0).square().mean())
        assert similarity == pytest.approx((1 - radius**2) ** 0.5, abs=0.03)


def test_regions_find_more_than_as_many_independent_noises() -> None:
    problem, scores = make_setup(images=100, nfe=8).problem, []
    for algorithm, point in ((TrustRegion(), 8), (Random(), 64)):
        *_, state = search(problem, algorithm, point)
        scores.append(float(algorithm.result(problem, state, point).score.mean()))
    assert scores[0] > scores[1] + 0.01


def test_bad_settings_are_refused() -> None:
    for options in ({"regions": 0}, {"radius": 0.9}, {"longest": 1.5}, {"shortest": 0.5}, {"grow_after": 0}):
        with pytest.raises(Refused):
            TrustRegion(**options)
