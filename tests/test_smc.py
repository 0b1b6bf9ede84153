"""Sequential Monte Carlo against its closed form on the exact mixture: p(x) exp(strength r(x)) for a linear r."""

from collections import Counter

import pytest
import torch
from torch import Tensor

from noise_search.algorithms.smc import SMC, systematic
from noise_search.core.driver import search
from noise_search.errors import Refused
from noise_search.networks.mixture import Mixture
from tests import conftest
from tests.conftest import Function, Likeness, Setup, make_setup

DIRECTION, STRENGTH, SPREAD = torch.tensor([0.8, 0.6]), 3.0, 0.2
MEANS = torch.tensor([[[-0.3, 0.0], [0.1, 0.2]], [[0.3, 0.0], [0.0, -0.2]]]).view(2, 2, 1, 1, 2)


def reward(images: Tensor, condition: Tensor) -> Tensor:
    return images.flatten(1) @ DIRECTION


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy mixture, so narrow that no image is cut off at the ends of its range."""
    monkeypatch.setattr(conftest, "small_mixture", lambda: Mixture(MEANS, SPREAD))


def tilted_mean(label: int) -> Tensor:
    """Of p(x | label) exp(STRENGTH r(x)): components move by STRENGTH SPREAD^2 DIRECTION and are weighted anew."""
    means = MEANS[label].view(2, 2)
    return (STRENGTH * means @ DIRECTION).softmax(0) @ (means + STRENGTH * SPREAD**2 * DIRECTION)


def made(particles: int, images: int, steps: int, path: str, **options: object) -> tuple[Setup, SMC, object]:
    setup = make_setup(images=images, path=path, verifier=Function(reward), batch_size=10**6)
    algorithm = SMC(**{"steps": steps, "choose": "draw", "strength": STRENGTH, **options})
    with torch.no_grad():
        *_, state = search(setup.problem, algorithm, particles)
    return setup, algorithm, state


def bias(particles: int, steps: int, path: str, potential: str = "difference") -> float:
    """Of the weighted mean of the particles of 200 images, the larger of two classes; without a search: 0.25."""
    state = made(particles, 200, steps, path, potential=potential)[2]
    x = (state.weight.softmax(1)[..., None] * state.x.flatten(2)).sum(1)
    return max(float((x[label::2].mean(0) - tilted_mean(label)).norm()) for label in (0, 1))


@pytest.mark.parametrize("path", ["linear", "cosine"])
def test_weighted_particles_converge_to_the_closed_form(narrow: None, path: str) -> None:
    """In particles (32 steps): .25, .10, .06 at 1, 4, 16; in steps (16 particles): .12, .09, .06 at 8, 16, 32."""
    in_particles = [bias(n, 32, path) for n in (1, 4, 16)]
    assert in_particles[0] > 0.2 and in_particles[1] < 0.6 * in_particles[0] and in_particles[2] < in_particles[1]
    coarse = bias(16, 8, path)
    assert in_particles[2] < 0.7 * coarse and in_particles[2] < 0.09


@pytest.mark.parametrize("potential", ["max", "sum"])
def test_the_last_potential_corrects_what_was_taken_before(narrow: None, potential: str) -> None:
    assert bias(16, 16, "linear", potential) == pytest.approx(bias(16, 16, "linear"), abs=0.03)


def test_the_draw_follows_the_weights_and_the_best_does_not(narrow: None) -> None:
    setup, algorithm, state = made(8, 200, 16, "linear", threshold=0.0)
    drawn = algorithm.result(setup.problem, state, 8)
    x = (state.weight.softmax(1)[..., None] * state.x.flatten(2)).sum(1).mean(0)
    assert torch.allclose(drawn.x.flatten(1).mean(0).double(), x, atol=0.05)
    assert 0.35 < (drawn.candidate > 4).double().mean() < 0.65  # numbers 1 to 8: no particle's place counts
    best = SMC(choose="best").result(setup.problem, state, 8)
    assert torch.equal(best.score[:, 0], state.score[..., 0].max(1).values)
    assert float((best.score - drawn.score).mean()) > 0.05


def test_weights_accumulate_until_they_are_drawn(narrow: None) -> None:
    """Never resampled, the weights are those of the whole way: exp(strength r(x0)). Always: of the last stage alone."""
    never = made(6, 4, 12, "linear", threshold=0.0, potential="sum")[2]
    assert torch.allclose(never.weight, STRENGTH * never.score[..., 0].double(), atol=1e-5)
    always = made(6, 4, 12, "linear", threshold=1.0, potential="difference")[2]
    assert always.weight.abs().max() < never.weight.abs().max()


def test_systematic_resampling_keeps_every_share() -> None:
    weights = torch.tensor([[0.5, 0.3, 0.2, 0.0]]).double()
    for shift in (0.0, 0.3, 0.999):
        drawn = Counter(systematic(weights, torch.tensor([[shift]]).double())[0].tolist())
        assert all(abs(drawn[i] - 4 * float(weights[0, i])) < 1 for i in range(4)) and 3 not in drawn


def test_bad_settings_are_refused() -> None:
    for options in ({"potential": "mean"}, {"threshold": 2.0}, {"eta": -1.0}, {"steps": 4}, {"resamplings": -1}):
        with pytest.raises(Refused):
            SMC(**options)
    with pytest.raises(Refused, match="views"):
        SMC().refuse(Likeness())
