"""The solvers on the exact mixture: orders of convergence, call counts, guidance."""

import itertools
import math

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler
from torch import nn

from noise_search.core.denoiser import Prediction, metered_denoiser
from noise_search.core.flow import Flow
from noise_search.core.grid import uniform_grid
from noise_search.core.guidance import NO_GUIDANCE, Guidance
from noise_search.core.interpolant import CosineInterpolant, DDPMInterpolant, Interpolant, LinearInterpolant, expand
from noise_search.core.schedule import UNIFORM, Listed, Shifted, Table, shifted_by_size
from noise_search.networks.dit import DiTNetwork
from tests.conftest import make_setup


def endpoint(nfe: int, solver: str, path: str, scale: float = 1.0) -> torch.Tensor:
    setup = make_setup(images=16, path=path, scale=scale)
    x = setup.problem.noise(0).double()
    return setup.problem.flow.solve(x, uniform_grid(nfe, solver), torch.arange(16)).x


@pytest.mark.parametrize("path", ["linear", "cosine", "ddpm"])
@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_order_of_convergence(solver: str, order: int, path: str) -> None:
    exact = endpoint(4000, "heun", path)
    errors = [float((endpoint(nfe, solver, path) - exact).abs().mean()) for nfe in (100, 200, 400)]
    for coarse, fine in itertools.pairwise(errors):
        assert 2 ** (order - 0.25) < coarse / fine < 2 ** (order + 0.4)


@pytest.mark.parametrize("path", ["linear", "cosine", "ddpm"])
def test_steps_along_a_line_are_of_second_order_on_any_knots(path: str) -> None:
    """At one evaluation each; the first is Euler's. Knots lie closer and closer towards the clean end."""

    def end(steps: int) -> torch.Tensor:
        setup = make_setup(images=16, path=path)
        x, before = setup.problem.noise(0).double(), None
        knots = [1 - (i / steps) ** 1.3 for i in range(steps + 1)][::-1]
        for t, s in itertools.pairwise([1 - k for k in knots]):
            now = setup.problem.flow.predict(x, t, torch.arange(16))
            x, before = setup.problem.flow.step(x, t, s, now, before), (t, now)
        assert (setup.guided.evaluations.count == steps).all()
        return x

    exact = endpoint(4000, "heun", path)
    errors = [float((end(steps) - exact).abs().mean()) for steps in (100, 200, 400)]
    for coarse, fine in itertools.pairwise(errors):
        assert 2**1.6 < coarse / fine < 2**2.5


@pytest.mark.parametrize("nfe", [1, 2, 7, 25, 50])
@pytest.mark.parametrize("solver", ["euler", "heun"])
def test_grid_makes_exactly_nfe_evaluations(nfe: int, solver: str) -> None:
    grid = uniform_grid(nfe, solver)
    assert grid.nfe == nfe
    assert grid.times[0] == 1 and grid.times[-1] == 0 and len(grid.times) == len(grid.stages) + 1
    assert all(later < earlier for earlier, later in itertools.pairwise(grid.times))


def test_odd_heun_ends_with_one_euler_step() -> None:
    assert uniform_grid(25, "heun").stages == (2,) * 12 + (1,)


def test_an_odd_nfe_keeps_the_order_of_heun() -> None:
    """One Euler step at the end, of length h, costs an error of order h^2 like the rest."""
    exact = endpoint(4000, "heun", "linear")
    errors = [float((endpoint(nfe, "heun", "linear") - exact).abs().mean()) for nfe in (101, 201, 401)]
    for coarse, fine in itertools.pairwise(errors):
        assert 2**1.6 < coarse / fine < 2**2.4


@pytest.mark.parametrize(("nfe", "solver"), [(0, "heun"), (-1, "euler"), (4, "rk4")])
def test_bad_grids_are_refused(nfe: int, solver: str) -> None:
    with pytest.raises(ValueError, match=r"nfe=|solver="):
        uniform_grid(nfe, solver)


@pytest.mark.parametrize(
    ("nfe", "solver", "spacing"),
    [
        *itertools.product((126, 249, 250, 999), ("euler", "heun"), ("trailing", "spaced")),
        *((250, "euler", "ddim"), (248, "heun", "ddim"), (249, "heun", "ddim")),
    ],
)
def test_a_table_ends_with_euler_at_exactly_the_same_nfe(nfe: int, solver: str, spacing: str) -> None:
    grid = Table(spacing)(nfe, solver=solver)
    assert grid.nfe == nfe and grid.stages[-1] == 1 and len(grid.times) == len(grid.stages) + 1
    assert all(later < earlier for earlier, later in itertools.pairwise(grid.times))
    if spacing != "ddim":
        assert grid.times[0] == 1 and grid.times[-1] == 0
    leg = Table(spacing)(nfe, 0.9, 0.1, solver)
    assert leg == uniform_grid(nfe, solver, 0.9, 0.1)


@pytest.mark.parametrize("nfe", [1, 2, 3, 50])
def test_the_smallest_grids_of_a_table(nfe: int) -> None:
    grid = Table()(nfe)
    assert grid.stages == {1: (1,), 2: (1, 1), 3: (2, 1), 50: (2,) * 24 + (1, 1)}[nfe]
    assert UNIFORM(nfe) == uniform_grid(nfe, "heun")  # of SiT: as ever


@pytest.mark.parametrize(("spacing", "named"), [("spaced", "linspace"), ("ddim", "leading")])
@pytest.mark.parametrize("n", [10, 50, 250])
def test_published_spacings_are_those_of_the_published_code(spacing: str, named: str, n: int) -> None:
    """diffusers calls guided diffusion's "250" linspace and its "ddim250" leading."""
    scheduler = DDIMScheduler(timestep_spacing=named, steps_offset=0)
    scheduler.set_timesteps(n)
    times = Table(spacing)(n, solver="euler").times
    assert [round(1000 * t) - 1 for t in times[:-1]] == scheduler.timesteps.tolist()


@pytest.mark.parametrize(("spacing", "named", "offset"), [("rounded", "trailing", 0), ("leading", "leading", 1)])
@pytest.mark.parametrize("n", [1, 7, 30, 40, 300])
def test_spacings_of_libraries_are_those_of_their_schedulers(spacing: str, named: str, offset: int, n: int) -> None:
    scheduler = DDIMScheduler(timestep_spacing=named, steps_offset=offset)
    scheduler.set_timesteps(n)
    times = Table(spacing, offset)(n, solver="euler").times
    assert [round(1000 * t) - 1 for t in times[:-1]] == scheduler.timesteps.tolist() and times[-1] == 0


SPACED = [("ddim", 300), ("ddim", 1), ("spaced", 1), ("spaced", 1001), ("rounded", 1001), ("leading", 1001)]


@pytest.mark.parametrize(("spacing", "n"), SPACED)
def test_spacings_that_do_not_fit_are_refused(spacing: str, n: int) -> None:
    with pytest.raises(ValueError, match=rf"^model.schedule.spacing={spacing}: "):
        Table(spacing)(n, solver="euler")
    with pytest.raises(ValueError, match="offset=1: 0, or with spacing=leading up to 999"):
        Table("rounded", 1)
    with pytest.raises(ValueError, match="spacing=leading: 1000 steps from 1; the table has 1000"):
        Table("leading", 1)(1000, solver="euler")


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize(("nfe", "solver"), [(1, "heun"), (7, "heun"), (10, "heun"), (28, "euler")])
def test_a_shifted_schedule_has_its_own_knots_and_exactly_the_same_nfe(shift: float, nfe: int, solver: str) -> None:
    """Against diffusers' scheduler, which SD3 is sampled with, given the same sigmas before the shift."""
    grid, n = Shifted(shift)(nfe, solver=solver), len(uniform_grid(nfe, solver).stages)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=np.linspace(1, 1 / n, n))
    assert np.allclose(grid.times, scheduler.sigmas.numpy(), atol=1e-6) and grid.nfe == nfe
    leg = Shifted(shift)(nfe, 0.8, 0.3, solver)
    assert leg.times[0] == 0.8 and leg.times[-1] == 0.3 and leg.nfe == nfe
    assert all(later < earlier for earlier, later in itertools.pairwise(leg.times))


def test_a_schedule_may_end_at_a_last_time_of_its_own() -> None:
    """SD3's default in diffusers: the table's last sigma, shifted twice, before the clean image."""
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(28)
    grid = Shifted(3.0, last=float(scheduler.sigmas[-2]))(28, solver="euler")
    assert np.allclose(grid.times, scheduler.sigmas.numpy(), atol=1e-6) and grid.nfe == 28
    heun = Shifted(3.0, last=0.01)(9)
    assert heun.nfe == 9 and heun.times[-2:] == (0.01, 0.0) and heun.stages[-1] == 1
    with pytest.raises(ValueError, match=r"model.schedule.last=0.2: a leg starts at t = 0.1"):
        Shifted(3.0, last=0.2)(9, start=0.1)


@pytest.mark.parametrize(("nfe", "solver", "steps"), [(7, "euler", 7), (7, "heun", 4), (8, "heun", 5), (1, "heun", 1)])
def test_listed_knots_are_taken_whole_and_parts_of_the_way_lie_along_them(nfe: int, solver: str, steps: int) -> None:
    """A list that is a shifted schedule has its grids: the whole way to the bit, other legs nearly."""
    asked: list[int] = []

    def knots(n: int) -> list[float]:
        asked.append(n)
        return list(Shifted(3.0)(n, solver="euler").times)

    grid = Listed(knots)(nfe, solver=solver)
    assert asked == [steps] and list(grid.times) == knots(steps)
    assert grid.nfe == nfe and grid.stages[-1] == 1  # no network is asked about the clean end
    for start, end in ((0.8, 0.3), (1.0, 0.4), (0.6, 0.0)):
        leg, like = (schedule(nfe, start, end, "euler") for schedule in (Listed(knots), Shifted(3.0)))
        assert (leg.times[0], leg.times[-1], leg.nfe) == (start, end, nfe)
        assert np.allclose(leg.times, like.times, atol=1e-5)


def test_flux_shifts_by_the_size_of_the_image() -> None:
    assert math.log(shifted_by_size(256).shift) == pytest.approx(0.5)
    assert math.log(shifted_by_size(4096).shift) == pytest.approx(1.15)


def leftover(solver: str, spacing: str, nfe: int = 50) -> float:
    """rms of what DiT's network, exact for data that is one point, leaves around it."""
    path = DDPMInterpolant()

    class Point(nn.Module):
        channels, classes = 1, 1

        def forward(self, x: torch.Tensor, index: torch.Tensor, label: torch.Tensor, rows: object) -> torch.Tensor:
            t = (index + 1) / 1000
            a, s = path.signal(t).to(x), path.noise(t).to(x)
            return (x - 0.5 * expand(a, x)) / expand(s, x)

    condition = (torch.zeros(1, dtype=torch.long),)
    guided = metered_denoiser(DiTNetwork(Point(), path), condition, (), NO_GUIDANCE, 1)
    x = torch.randn(1, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    grid = (UNIFORM if spacing == "uniform" else Table(spacing))(nfe, solver=solver)
    end = Flow(guided, path, lambda x: x).solve(x, grid, torch.zeros(1, dtype=torch.long)).x
    return float((end - 0.5).square().mean().sqrt())


@pytest.mark.parametrize("spacing", ["trailing", "spaced", "ddim"])
def test_an_euler_step_at_the_end_leaves_no_noise_on_a_table(spacing: str) -> None:
    assert 0.06 < leftover("heun", "uniform") < 0.08
    assert leftover("heun", spacing) < 1e-3 and leftover("euler", spacing) < 1e-3


@pytest.mark.parametrize("path", ["linear", "cosine", "ddpm"])
def test_samples_have_the_moments_of_the_mixture(path: str) -> None:
    setup = make_setup(images=4000, path=path)
    samples = setup.problem.flow.solve(setup.problem.noise(0), uniform_grid(60, "heun"), torch.arange(4000)).x
    mixture = setup.spy.network.mixture
    for label in (0, 1):
        own = samples[setup.problem.index == label].flatten(1)
        means = mixture.means[label].flatten(1)
        covariance = torch.cov(means.T, correction=0) + mixture.std**2 * torch.eye(2)
        assert torch.allclose(own.mean(0), means.mean(0), atol=0.05)
        assert torch.allclose(torch.cov(own.T), covariance, atol=0.03)


def test_guidance_extrapolates_from_the_null_prediction() -> None:
    one, null, two = (make_setup(scale=s) for s in (1.0, 0.0, 2.0))
    x, who = one.problem.noise(0), torch.arange(6)
    a, b, c = (s.problem.flow.predict(x, 0.5, who) for s in (one, null, two))
    assert torch.allclose(c.x0, 2 * a.x0 - b.x0, atol=1e-6) and torch.allclose(c.eps, 2 * a.eps - b.eps, atol=1e-6)
    assert not torch.allclose(a.x0, b.x0)


def test_guidance_can_keep_to_some_channels_and_times() -> None:
    """As SiT and DiT publish it: the first channels are guided, the others are the conditional pass's own."""
    labels, who = torch.tensor([0, 1]), torch.arange(2)
    x, t = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0)), torch.tensor([0.3, 0.8])

    def network(x: torch.Tensor, t: torch.Tensor, label: torch.Tensor) -> Prediction:
        grown = x * (1 + label.view(-1, 1, 1, 1))
        return Prediction(grown, -grown)

    def predict(guidance: Guidance) -> tuple[Prediction, int]:
        guided = metered_denoiser(network, (labels,), (torch.tensor([2]),), guidance, 10)
        return guided(x, t, who), int(guided.network.rows.count.sum())

    own, rows = predict(Guidance(1.0, channels=3, interval=(0.0, 0.5)))
    assert rows == 2
    whole, rows = predict(Guidance(3.0))
    assert rows == 4 and not torch.isclose(whole.x0, own.x0).any()
    three, _ = predict(Guidance(3.0, channels=3))
    early, rows = predict(Guidance(3.0, interval=(0.5, 1.0)))
    for part in range(2):
        assert torch.equal(three[part][:, :3], whole[part][:, :3]) and torch.equal(three[part][:, 3], own[part][:, 3])
        assert torch.allclose(early[part][0], own[part][0]) and torch.equal(early[part][1], whole[part][1])
    assert rows == 4


@pytest.mark.parametrize("path", ["linear", "cosine", "ddpm"])
def test_predictions_recompose_the_point(path: str) -> None:
    setup = make_setup(path=path)
    x, who = setup.problem.noise(0), torch.arange(6)
    kind = setup.problem.flow.interpolant
    for t in (1.0, 0.7, 0.2, 0.0):
        x0, eps = setup.problem.flow.predict(x, t, who)
        a, s = kind.signal(torch.tensor(t)), kind.noise(torch.tensor(t))
        assert torch.allclose(a * x0 + s * eps, x, atol=1e-5)


class OneGaussian:
    """x0 ~ N(0.7, 0.3^2): the exact posterior means; affine in x, so a sampler's moments can be followed exactly."""

    def __init__(self, kind: Interpolant) -> None:
        self.kind = kind

    def __call__(self, x: torch.Tensor, t: torch.Tensor) -> Prediction:
        a, s = (value.view(-1, 1) for value in (self.kind.signal(t), self.kind.noise(t)))
        away, variance = x - a * 0.7, a**2 * 0.09 + s**2
        return Prediction(0.7 + a * 0.09 / variance * away, s / variance * away)


def moments_at_the_end(flow: Flow, steps: int, eta: float, start: float, end: float) -> tuple[float, float]:
    """Mean and variance after `steps` jumps, from the exact marginal at `start`; each jump's slope, offset and share of
    fresh noise are read off three rows."""
    one = torch.tensor([start], dtype=torch.float64)
    a, s = float(flow.interpolant.signal(one)), float(flow.interpolant.noise(one))
    mean, variance = 0.7 * a, 0.09 * a**2 + s**2
    x, eps = (torch.tensor(v, dtype=torch.float64).view(3, 1) for v in ([0.0, 1.0, 0.0], [0.0, 0.0, 1.0]))
    times = [start + (end - start) * i / steps for i in range(steps + 1)]
    for t, u in itertools.pairwise(times):
        prediction = flow.predict(x, t, torch.zeros(3, dtype=torch.int64))
        offset, unit, fresh = flow.jump(prediction, t, u, eta, eps).flatten().tolist()
        slope, fresh = unit - offset, fresh - offset
        mean, variance = slope * mean + offset, slope**2 * variance + fresh**2
    return mean, variance


@pytest.mark.parametrize("path", ["linear", "cosine"])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_half_the_step_of_a_jump_is_half_the_error(path: str, eta: float) -> None:
    """The end's moments against those of the forward process, on an exact Gaussian."""
    kind = {"linear": LinearInterpolant, "cosine": CosineInterpolant}[path]()
    network = OneGaussian(kind)
    flow = Flow(lambda x, t, who: network(x, t), kind, lambda x: x)
    end = torch.tensor([0.05], dtype=torch.float64)
    a, s = float(kind.signal(end)), float(kind.noise(end))
    errors = []
    for steps in (100, 200, 400):
        mean, variance = moments_at_the_end(flow, steps, eta, 0.95, 0.05)
        errors.append((abs(mean - 0.7 * a), abs(variance - (0.09 * a**2 + s**2))))
    for coarse, fine in itertools.pairwise(errors):
        assert fine[1] / coarse[1] == pytest.approx(0.5, abs=0.06)
        assert fine[0] < 1e-12 or fine[0] / coarse[0] == pytest.approx(0.5, abs=0.06)


def test_a_jump_without_fresh_noise_is_an_euler_step() -> None:
    setup = make_setup(path="cosine", solver="euler")
    flow, x, who = setup.problem.flow, setup.problem.noise(0), torch.arange(6)
    eps = torch.full_like(x, 1e3)
    jumped = flow.jump(flow.predict(x, 1.0, who), 1.0, 0.6, 0.0, eps)
    assert torch.allclose(jumped, flow.solve(x, uniform_grid(1, "euler", 1.0, 0.6), who).x, atol=1e-6)
    for t, s, eta in ((0.5, 0.5, 0.0), (0.5, 0.6, 0.0), (0.5, 0.4, 1.5)):
        with pytest.raises(ValueError, match="s must be below t"):
            flow.jump(flow.predict(x, t, who), t, s, eta, eps)
