"""A compiled network: one graph for a whole run, whole batches with rows that are nobody's bill, outputs that are
overwritten; and what of that is found out and frozen."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from noise_search.core.denoiser import Batches, Prediction, metered_denoiser
from noise_search.core.flow import Flow
from noise_search.core.grid import uniform_grid
from noise_search.core.guidance import Guidance
from noise_search.core.interpolant import LinearInterpolant
from noise_search.networks.compiled import compile_network
from noise_search.networks.mixture import MixtureNetwork
from noise_search.run import tuning
from noise_search.run.assemble import assemble
from noise_search.run.description import describe
from noise_search.run.execute import begin_folder, identity_of_parts, make_missing_images
from noise_search.storage.units import read_units
from tests.conftest import small_mixture
from tests.test_configs import configuration

SMALL = ("model.precision=float32", "budget.search_nfe=4", "budget.final_nfe=6", "logger=none", "images=5")
RUNS = {
    "guided": ("budget.points=[1,3]", "cfg_scale=2"),
    "paths": ("algorithm=paths", "algorithm.backward_nfe=4", "budget.points=[0,1]"),
}


class Graphs:
    """A compiler that changes nothing: counts its graphs, and the rows that they are called with."""

    def __init__(self) -> None:
        self.count, self.rows = 0, list[int]()

    def __call__(self, graph: torch.fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        self.count += 1

        def call(*given: Any) -> Any:
            self.rows += [len(value) for value in given if isinstance(value, Tensor) and value.shape[1:] == (32, 4, 4)]
            return graph(*given)

        return call


@pytest.mark.parametrize("name", RUNS)
def test_a_whole_run_is_one_graph_and_padding_is_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    torch.compiler.reset()
    graphs, found = Graphs(), []
    monkeypatch.setattr(tuning, "compile_network", partial(compile_network, backend=graphs))
    for compiled in ("true", "false"):
        parts = assemble(describe(*configuration(*SMALL, *RUNS[name], "batch_size=16", f"compile={compiled}")))
        assert parts.tuning[:2] == (16, compiled == "true")
        make_missing_images(parts, tmp_path / compiled)
        table = read_units(tmp_path / compiled)
        found.append(table.to_pylist())
    fused, plain = found
    assert len(fused) == 10
    for one, other in zip(fused, plain, strict=True):
        assert one["scores"] == pytest.approx(other["scores"], abs=0.5, nan_ok=True)  # the verifier reads bfloat16
        assert one["spent_rows"] == other["spent_rows"] and other["spent_padding"] == 0
    rows, padding = (sum(row[name] for row in fused[::2]) for name in ("spent_rows", "spent_padding"))
    assert graphs.count == 1 and set(graphs.rows) == {16}
    assert sum(graphs.rows) == rows + padding and padding > 0  # what ran is what the meters and the padding say


class Overwriting:
    """A network that writes each output over the one before, as a replayed CUDA graph does."""

    whole_batches = True

    def __init__(self, network: MixtureNetwork, size: int) -> None:
        self.network, self.size = network, size
        self.out = Prediction(torch.empty(size, 1, 1, 2), torch.empty(size, 1, 1, 2))

    def __call__(self, x: Tensor, t: Tensor, label: Tensor) -> Prediction:
        assert len(x) == self.size
        for mine, made in zip(self.out, self.network(x, t, label), strict=True):
            mine.copy_(made)
        return self.out


@pytest.mark.parametrize("scale", [1.0, 1.5])
def test_outputs_may_be_overwritten_by_the_next_call(scale: float) -> None:
    """Views and the parts of a batch are the caller's own."""
    path = LinearInterpolant()
    network = MixtureNetwork(small_mixture(), path)
    x, ends = torch.randn(10, 1, 1, 2, generator=torch.Generator().manual_seed(0)), []
    for own in (network, Overwriting(network, 4)):
        denoiser = metered_denoiser(own, (torch.tensor([0, 1]),), (torch.tensor([2]),), Guidance(scale), Batches(4))
        who = torch.arange(2).repeat_interleave(5)
        ends.append(Flow(denoiser, path, lambda x: x).solve(x, uniform_grid(6, "heun"), who, (0.7, 0.3)))
        assert denoiser.network.rows.count.sum() == 60 * (1 if scale == 1 else 2)
    assert torch.equal(ends[0].x, ends[1].x) and torch.equal(ends[0].views, ends[1].views)
    assert denoiser.network.padding == 6 * (2 if scale == 1 else 0)


@pytest.mark.parametrize(
    ("rates", "best"),
    [
        ({8: 100.0, 16: 180.0, 32: 300.0, 64: 310.0, 128: 200.0}, 32),  # nearly the best is enough
        ({8: 100.0, 16: 180.0, 32: "memory"}, 16),
        ({8: "memory"}, 1),
    ],
)
def test_the_smallest_batch_that_is_nearly_the_fastest(rates: dict[int, Any], best: int) -> None:
    tried: list[int] = []

    def rate(rows: int) -> float:
        tried.append(rows)
        if rates[rows] == "memory":
            raise torch.OutOfMemoryError
        return float(rates[rows])

    assert tuning.fastest(rate) == best and tried == list(rates)


def test_a_batch_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISE_SEARCH_CACHE", str(tmp_path))
    model = describe(*configuration("experiment=toy", "logger=none")).model.load("cpu")
    object.__setattr__(model, "batch_size", None)
    sizes = []
    monkeypatch.setattr(tuning, "rate", lambda model, device, batches: sizes.append(batches.size) or 1.0)
    assert [tuning.batch_size(model, "cpu") for _ in range(2)] == [8, 8]
    assert sizes.count(8) == 1 and len(sizes) > 1


def plan_of(images: int) -> Any:
    return assemble(describe(*configuration("logger=none", f"images={images}", "budget.points=[1,4]")))


def test_compiling_is_tried_where_it_may_pay_and_then_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 750 rows a second, as the settings say, 10,000 images take longer than ten minutes and 100 do not."""
    monkeypatch.setenv("NOISE_SEARCH_CACHE", str(tmp_path))
    known, tried = {"plain": 500.0, "compiled": 1000.0, "seconds": 30.0}, []
    monkeypatch.setattr(tuning, "compared", lambda *_: tried.append(1) or known)
    assert not plan_of(100).tuning.compile and not tried
    assert plan_of(10_000).tuning.compile and tried == [1]
    assert plan_of(800).tuning.compile and not plan_of(400).tuning.compile and tried == [1]  # 30 s are 30,000 rows


def test_a_network_that_cannot_be_compiled_runs_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(network: Any) -> None:
        compile_network(network, backend=lambda graph, inputs: 1 / 0)

    monkeypatch.setattr(tuning, "compile_network", broken)
    parts = plan_of(5)
    found = tuning.compared(parts.model, "cpu", parts.batches)
    assert found["compiled"] == 0 and found["plain"] > 0 and not parts.model.network.whole_batches
    assert tuning.rate(parts.model, "cpu", parts.batches) > 0


def test_the_first_worker_decides(tmp_path: Path) -> None:
    one, other = (
        assemble(describe(*configuration("experiment=toy", "logger=none", f"batch_size={n}"))) for n in (8, 9)
    )
    for parts in (one, other):
        begun = begin_folder(parts, tmp_path, identity_of_parts(parts))
        assert begun.tuning[:2] == (8, False) and begun.batch_size == 8
    assert json.loads((tmp_path / "identity.json").read_text())["tuning"]["batch_size"] == 8
