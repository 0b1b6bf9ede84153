"""Direct noise optimisation: what is likely, and that the regulariser keeps the noise there."""

import pytest
import torch
from torch import Tensor

from noise_search.algorithms.dno import DNO, likeliness
from noise_search.core.driver import search
from noise_search.core.verifier import Candidates
from noise_search.errors import Refused
from noise_search.networks.mixture import Mixture
from noise_search.verifiers.brightness import Brightness
from tests import conftest
from tests.conftest import make_setup


class Steep(Brightness):
    """Brightness that is never bright enough."""

    def score(self, candidates: Candidates) -> Tensor:
        return 3 * super().score(candidates)


def test_gaussian_noises_are_likely_and_others_are_not() -> None:
    z = torch.randn(40, 1, 1024, generator=torch.Generator().manual_seed(0))
    assert (likeliness(z, 4) > -1).all()
    for wrong in (1.3 * z, 0.7 * z, z + 0.3, z.abs() - z.abs().mean(), z[..., :256].repeat(1, 1, 4) * 1.2):
        assert (likeliness(wrong, 4) < -1).all()
    repeated = z[..., ::4].repeat_interleave(4, 2)  # each vector of four numbers is one number
    assert (likeliness(repeated, 4) < -10).all()


@pytest.mark.parametrize("scale", [0.6, 1.4])
def test_its_gradient_leads_back_to_the_norm_of_a_gaussian_noise(scale: float) -> None:
    z = scale * torch.randn(10, 1, 1024, generator=torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(likeliness(z.requires_grad_(), 4).sum(), z)
    outwards = (gradient * z).sum((1, 2)).detach()
    assert (outwards > 0).all() if scale < 1 else (outwards < 0).all()


def test_bounds_are_those_of_the_paper_by_hand() -> None:
    z = torch.tensor([3.0, 1.0, 2.0, 4.0]).view(1, 1, 4)  # two vectors of two numbers
    mean, covariance = torch.tensor([2.5, 2.5]), torch.tensor([[6.5, 5.5], [5.5, 8.5]])
    off = float(torch.linalg.matrix_norm(covariance - torch.eye(2), ord=2))
    log2 = torch.tensor(2.0).log()
    spread = (1 + off) ** 0.5 - 1 - 1
    expected = min(0, log2 - 2 * mean.square().sum() / 4) + min(0, log2 - 2 * spread**2 / 2)
    assert float(likeliness(z, 2)) == pytest.approx(float(expected), rel=1e-5)


def test_the_regulariser_keeps_the_norm_that_the_score_would_drive_away(monkeypatch: pytest.MonkeyPatch) -> None:
    means = torch.tensor([[[0.0, 0.0]], [[0.0, 0.0]]]).view(2, 1, 1, 1, 2)
    monkeypatch.setattr(conftest, "small_mixture", lambda: Mixture(means, 0.1))
    norms = {}
    for weight in (0.0, 1.0):
        algorithm = DNO(learning_rate=0.2, block=1, shuffles=2, regularisation=weight)
        *_, state = search(make_setup(images=20, verifier=Steep()).problem, algorithm, 40)
        norms[weight] = float(state.x.flatten(1).norm(dim=1).mean())
    assert norms[0.0] > 8 and norms[1.0] < 5


def test_moves_are_adams() -> None:
    algorithm = DNO(learning_rate=0.05, block=1, regularisation=0.0)
    setup = make_setup(images=6, verifier=Brightness())
    states = list(search(setup.problem, algorithm, 3))
    x = torch.nn.Parameter(states[0].x.clone())
    adam = torch.optim.Adam([x], lr=0.05, maximize=True)
    for state in states[1:-1]:
        adam.zero_grad()
        setup.problem.evaluate(x[:, None]).sum().backward()
        x.grad /= x.grad.flatten(1).norm(dim=1).clamp_min(1).view(-1, 1, 1, 1)
        adam.step()
        assert torch.allclose(state.x, x.detach(), atol=1e-5)


def test_bad_settings_are_refused() -> None:
    for options in ({"learning_rate": 0.0}, {"regularisation": -1.0}, {"block": 0}, {"shuffles": -1}):
        with pytest.raises(Refused):
            DNO(**options)
    with pytest.raises(Refused, match="block=4: at most half of the 2 numbers"):
        DNO().init(make_setup().problem, 1)
