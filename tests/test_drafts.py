"""Drafts: what each makes of a noise, what it leaves out to the block, and that batches change nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from noise_search.algorithms.paths import Paths
from noise_search.algorithms.random import Random
from noise_search.algorithms.zero_order import ZeroOrder
from noise_search.core.budget import Budget, make_plan
from noise_search.core.draft import Draft
from noise_search.core.driver import Readout, sweep_points
from noise_search.core.guidance import Guidance
from noise_search.core.interpolant import DDPMInterpolant, LinearInterpolant
from noise_search.core.model import Model, ModelSettings, dit_block
from noise_search.core.problem import Problem, open_problem
from noise_search.core.verifier import Verifier
from noise_search.drafts.cache import Cache
from noise_search.drafts.early import Early
from noise_search.drafts.guidance_reuse import GuidanceReuse
from noise_search.drafts.none import NoDraft
from noise_search.drafts.small import Small
from noise_search.drafts.steps import Steps
from noise_search.errors import Refused
from noise_search.networks.block_cache import forecast, reusing
from noise_search.networks.dit import DiTNetwork
from noise_search.networks.sit import SiTNetwork
from noise_search.networks.transformer import DiffusionTransformer
from noise_search.verifiers.brightness import Brightness
from tests.conftest import Likeness, Spy, counted_multiply_adds, small_mixture

BLOCK = dit_block(16, 4)  # multiply-adds


@dataclass(frozen=True, kw_only=True)
class Tiny(ModelSettings):
    """A transformer of random weights that does not forget what it is told, in either frame."""

    name: str = "tiny"
    kind: str = "sit"
    depth: int = 4
    multiply_adds: int | None = 1_000_000

    classes: ClassVar[int] = 3
    shape: ClassVar[tuple[int, ...]] = (3, 4, 4)

    @property
    def reusable(self) -> int:  # type: ignore[override]
        return (self.depth - 1) * BLOCK

    def load(self, device: str = "cpu") -> Model:
        torch.manual_seed(self.depth)
        net = DiffusionTransformer(3, 4, 2, 16, self.depth, 2, 3, out_channels=6).eval().requires_grad_(False)
        for block in net.blocks:
            nn.init.normal_(block.adaLN_modulation[1].weight, std=0.3)
        kind: Any = (
            (SiTNetwork(net), LinearInterpolant()) if self.kind == "sit" else (DiTNetwork(net), DDPMInterpolant())
        )
        decoder, left_out = lambda x: x, partial(reusing, kind[0])
        return self.model(network=kind[0], interpolant=kind[1], decoder=decoder, batch_size=64, reusing=left_out)


DRAFTS: dict[str, Draft] = {
    "none": NoDraft(),
    "steps": Steps(3),
    "early": Early(8, 0.4),
    "cfg": GuidanceReuse(3),
    "cache": Cache(every=3),
    "cache, a line": Cache(every=2, order=1),
    "cache, a parabola": Cache(every=2, order=2),
    "cache by rows": Cache(every=None, threshold=0.8),
    "small": Small(Tiny(name="tinier", depth=2, multiply_adds=400_000)),
}
GUIDED = Guidance(2.0)


class Work:
    """Block rows that really ran, by hooks: independent of every meter."""

    def __init__(self, *models: Model) -> None:
        self.blocks = self.rows = 0
        for model in models:
            network: Any = model.network
            network.net.x_embedder.register_forward_hook(self.row)
            for block in network.net.blocks:
                block.register_forward_hook(self.block)

    def row(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        self.rows += len(inputs[0])

    def block(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        self.blocks += len(inputs[0])


def opened(
    draft: Draft,
    settings: ModelSettings,
    c: int = 6,
    guidance: Guidance = GUIDED,
    verifier: Verifier | None = None,
    ids: Sequence[int] = range(6),
    batch_size: int = 64,
) -> tuple[Problem, Work]:
    model = settings.load("cpu")
    index = torch.tensor([i % 3 for i in ids])
    nfe = draft.evaluations(c, settings)
    loaded = draft.load(model, settings, "cpu")
    problem = open_problem(
        model, verifier or Brightness(), index, list(ids), nfe, 9, guidance, 0, batch_size, draft=loaded
    )
    return problem, Work(model)


def searched(problem: Problem, algorithm: Any, points: list[int]) -> dict[int, Readout]:
    with torch.no_grad():
        events = list(sweep_points(problem, algorithm, points, problem.meters))
    return {event.point: event for event in events if isinstance(event, Readout)}


@pytest.mark.parametrize("solver", ["heun", "euler"])
@pytest.mark.parametrize("kind", ["sit", "dit"])
@pytest.mark.parametrize("name", DRAFTS)
def test_plan_meter_and_spy_agree_to_the_block(name: str, kind: str, solver: str) -> None:
    draft, settings = DRAFTS[name], Tiny(kind=kind, solver=solver)
    algorithm, points = ZeroOrder(neighbours=2), [0, 1, 3]
    problem, work = opened(draft, settings)
    nfe = draft.evaluations(6, settings)
    left_out = draft.left_out(nfe, settings, GUIDED)
    budget = Budget(nfe, 9, points=tuple(points))
    plan = make_plan("tiny", algorithm, budget, GUIDED.rows, settings.multiply_adds, left_out)
    readouts = searched(problem, algorithm, points)
    for purchase in plan.purchases:
        spent = readouts[purchase.point].spent
        assert (spent.evaluations == purchase.nfe_search).all()
        assert (spent.rows == 2 * purchase.nfe_search - purchase.left_out.rows).all()
        if not draft.bounded:
            assert (spent.left_out == purchase.left_out.multiply_adds).all()
    meters = problem.meters.network
    if name == "small":
        assert work.rows == work.blocks == 0  # the large one was not run
        assert (meters.left_out.count == meters.rows.count * 600_000).all()
        return
    assert work.rows == int(meters.rows.count.sum())
    assert int(meters.left_out.count.sum()) == (work.rows * settings.depth - work.blocks) * BLOCK
    assert (work.blocks < work.rows * settings.depth) == ("cache" in name)


def test_what_a_block_costs_is_counted() -> None:
    model = Tiny().load()
    network: Any = model.network
    x, c = torch.randn(5, 4, 16), torch.randn(5, 16)
    with counted_multiply_adds() as counted:
        network.net.blocks[0](x, c, slice(None))
        assert counted() == 5 * BLOCK


@pytest.mark.parametrize("name", DRAFTS)
def test_batches_change_nothing(name: str) -> None:
    draft, settings = DRAFTS[name], Tiny()
    together, _ = opened(draft, settings)
    apart, _ = opened(draft, settings, batch_size=4)
    alone, _ = opened(draft, settings, ids=[4])
    noise = together.noises(3)
    whole, parts = together.generate(noise), apart.generate(noise)
    own = alone.generate(noise[4:5])
    for a, b, c in zip(whole, parts, own, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(a[4:5], c, atol=1e-5, rtol=1e-5)
    assert torch.equal(together.meters.network.left_out.count, apart.meters.network.left_out.count)
    again = together.generate(noise)  # nothing is remembered from one candidate to the next
    assert all(torch.equal(a, b) for a, b in zip(whole, again, strict=True))


def test_drafts_that_leave_nothing_out_are_the_model() -> None:
    settings = Tiny()
    plain, _ = opened(NoDraft(), settings)
    noise = plain.noises(2)
    x, _, scores = plain.generate(noise)
    same: list[Draft] = [Steps(6), Small(Tiny()), Cache(every=None, threshold=1e-12)]
    for draft in same:
        problem, _ = opened(draft, settings)
        found = problem.generate(noise)
        torch.testing.assert_close(found[0], x, atol=1e-6, rtol=1e-6)
        torch.testing.assert_close(found[2], scores, atol=1e-6, rtol=1e-6)
        assert not problem.meters.network.left_out.count.any()
    for name in ("steps", "early", "cfg", "cache", "cache, a line", "small", "cache by rows"):
        problem, _ = opened(DRAFTS[name], settings)
        assert not torch.allclose(problem.generate(noise)[0], x, atol=1e-3), name


def test_forecasts_are_exact_for_polynomials() -> None:
    a, b, c = torch.randn(3, 5, 2, 2)
    times = torch.tensor([0.9, 0.7, 0.4])[:, None]
    for order in (0, 1, 2):
        values = [a + (b * t if order > 0 else 0) + (c * t**2 if order > 1 else 0) for t in times[: order + 1]]
        known = list(zip(times, values, strict=False))
        t = torch.tensor([0.2])
        expected = a + (b * t if order > 0 else 0) + (c * t**2 if order > 1 else 0)
        torch.testing.assert_close(forecast(known, t), expected, atol=1e-5, rtol=1e-5)


def test_a_row_decides_alone() -> None:
    """A loose threshold runs all blocks once; between, rows differ in what they leave out."""
    settings = Tiny()
    most = 2 * 6 * settings.reusable  # of a candidate: rows, evaluations, blocks but the first
    counts = {}
    for threshold in (1e-9, 0.2, 1e9):
        problem, _ = opened(Cache(every=None, threshold=threshold), settings)
        problem.generate(problem.noises(1))
        counts[threshold] = problem.meters.network.left_out.count
    assert (counts[1e-9] == 0).all() and (counts[1e9] == most - most // 6).all()
    assert len(counts[0.2].unique()) > 1 and (counts[0.2] > 0).all() and (counts[0.2] < counts[1e9]).all()


def test_a_draft_of_as_many_evaluations_as_the_final_generation_is_not_the_image() -> None:
    settings, draft = Tiny(solver="euler"), Cache()
    algorithm = draft.beside(Random())
    assert NoDraft().beside(Random()) == Random() and Steps(9).beside(Random()) == Random()
    assert draft.beside(Paths()) == Paths()
    assert algorithm.cost(3, 9, 9) == (27, 9, 9 * 3, 3, 0) and Random().cost(3, 9, 9) == (27, 0, 27, 3, 0)
    problem, _ = opened(draft, settings, c=9)
    drafted = searched(problem, algorithm, [1, 3])
    assert all(readout.result.t == 1 for readout in drafted.values())  # noises, to be rendered
    assert (drafted[1].result.x == problem.noises(1)[:, 0]).all()
    plain, _ = opened(NoDraft(), settings, c=9)
    assert searched(plain, Random(), [3])[3].result.t == 0


def test_early_is_the_clean_prediction_at_its_knot() -> None:
    settings = Tiny(solver="euler")
    draft = Early(8, 0.5)
    problem, _ = opened(draft, settings)
    assert draft.evaluations(6, settings) == 5
    noise = problem.noises(2)
    x, _ = problem.solve(noise, problem.grid(4, 1.0, 0.5))
    torch.testing.assert_close(problem.generate(noise)[0], problem.predict(x, 0.5).x0, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("path", [LinearInterpolant, DDPMInterpolant])
def test_a_reused_null_branch_keeps_the_pair(path: Any) -> None:
    """x = a x0 + s eps holds at every evaluation, and one that never changes is reused exactly."""
    from noise_search.core.denoiser import metered_denoiser
    from noise_search.drafts.guidance_reuse import ReusedNull
    from noise_search.networks.mixture import MixtureNetwork

    kind = path()
    spy = Spy(MixtureNetwork(small_mixture(), kind))
    guided = metered_denoiser(spy, (torch.tensor([0, 1]),), (torch.tensor([2]),), GUIDED, 8)
    reused, who = ReusedNull(guided, kind, 2), torch.tensor([0, 1])
    x = torch.randn(2, 1, 1, 2)
    for i, time in enumerate((0.8, 0.8, 0.5, 0.3)):
        t = torch.full((2,), time)
        out, before = reused(x, t, who), spy.rows
        a, s = float(kind.signal(t[:1])), float(kind.noise(t[:1]))
        torch.testing.assert_close(a * out.x0 + s * out.eps, x, atol=1e-5, rtol=1e-5)
        full = guided(x, t, who)
        if i < 3 and time != 0.3:  # made anew, or at the same x and t as that
            torch.testing.assert_close(out.x0, full.x0, atol=1e-5, rtol=1e-5)
        else:
            assert not torch.allclose(out.x0, full.x0, atol=1e-3)
        assert spy.rows - before == 4


def test_a_full_memory_is_told_in_one_line() -> None:
    """Half the rows cannot be tried again in the middle of their way."""
    problem, _ = opened(Cache(), Tiny(), batch_size=16)
    network: Any = problem.meters.network.network
    calls = list[int]()

    def full(module: nn.Module, inputs: tuple) -> None:
        calls.append(len(inputs[0]))
        if len(calls) > 5:
            raise torch.OutOfMemoryError

    network.net.blocks[1].register_forward_pre_hook(full)
    with pytest.raises(Refused, match="draft: out of memory with 16 rows at a time"):
        problem.generate(problem.noises(3))
    assert len(calls) == 6  # not tried again


WRONG: list[tuple[Draft, dict[str, Any], str]] = [
    (Steps(3), {"algorithm": Paths()}, "draft=steps: candidates of Paths-2 are no noises"),
    (Early(8, 0.4), {"verifier": Likeness()}, "draft=early: verifier likeness reads views"),
    (GuidanceReuse(2), {"guidance": Guidance()}, "draft=cfg: no guidance has no null branch"),
]


@pytest.mark.parametrize(("draft", "changed", "message"), WRONG)
def test_what_does_not_fit_is_refused(draft: Draft, changed: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"model": Tiny(), "verifier": Brightness(), "algorithm": Random(), "guidance": GUIDED}
    asked = usual | {"c": 6, "final": 9}
    draft.refuse(**asked)
    with pytest.raises(Refused, match=message):
        draft.refuse(**asked | changed)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: Steps(0), "nfe"),
        (lambda: Early(1, 0.5), "steps"),
        (lambda: Early(8, 1.0), "time"),
        (lambda: GuidanceReuse(1), "every"),
        (lambda: Cache(every=1), "every"),
        (lambda: Cache(order=3), "order"),
        (lambda: Cache(threshold=0.1), "draft.every=2 draft.threshold=0.1"),
        (lambda: Cache(every=None), "one of them"),
        (lambda: Cache(every=None, threshold=0.1, order=1), "draft.order=1: 0"),
    ],
)
def test_wrong_settings_are_refused(made: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        made()
