"""Seconds beside NFE: by stage, of every point alone, never of several devices in one number."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from noise_search.algorithms.none import NoSearch
from noise_search.algorithms.paths import Paths
from noise_search.algorithms.random import Random
from noise_search.algorithms.zero_order import ZeroOrder
from noise_search.core.algorithm import Algorithm
from noise_search.core.budget import Budget, make_plan
from noise_search.core.denoiser import Batches
from noise_search.core.driver import Readout, sweep_points
from noise_search.core.rates import Expected, Rates, expected
from noise_search.core.stopwatch import SEARCH, STAGES, Stopwatch, by_stage
from noise_search.core.time_budget import TimeBudget
from noise_search.report.combined import combine_runs
from noise_search.report.figures import axis_label
from noise_search.run import calibrate
from noise_search.run.calibrate import calibrated
from noise_search.run.evaluate import measured, seconds_of
from noise_search.run.execute import make_missing_images
from noise_search.run.kept_rates import latest
from noise_search.run.parts import begin
from noise_search.run.search_units import begin_work, search_and_render
from noise_search.storage import units
from noise_search.storage.atomic import create_text
from noise_search.storage.curve_csv import numbers
from noise_search.storage.units import read_units, write_unit
from tests.conftest import make_setup
from tests.test_commands import ask
from tests.test_run import TOY, call, curve, logged
from tests.test_workers import toy_parts


def ticking(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that goes on by one second whenever it is read."""
    time = iter(range(10**9))
    monkeypatch.setattr("time.perf_counter", lambda: float(next(time)))


def test_stages_add_up_and_one_inside_another_is_part_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ticking(monkeypatch)
    watch, off = Stopwatch(torch.device("cpu")), Stopwatch()
    for one in (watch, off):
        with one("denoise"), one("verify"):
            pass
        with pytest.raises(KeyError), one("verify"):
            raise KeyError
    assert by_stage(watch.spans) == {**dict.fromkeys(STAGES, 0.0), "denoise": 1.0, "verify": 1.0}
    assert off.spans == []
    assert units.STAGES == STAGES  # of the stored column


def test_a_points_seconds_are_those_of_that_point_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick a stage: what a search of its own takes, not what the other points' readouts add."""
    ticking(monkeypatch)

    def ticks(algorithm: Random | Paths, points: list[int]) -> dict[int, float]:
        setup = make_setup()
        object.__setattr__(setup.problem, "watch", Stopwatch(torch.device("cpu")))
        readouts = [r for r in sweep_points(setup.problem, algorithm, points, setup.guided) if isinstance(r, Readout)]
        return {r.point: sum(by_stage(r.spans).values()) for r in readouts}

    for algorithm, points in ((Random(), [1, 2, 4, 8]), (Paths(), [0, 1, 2])):
        together = ticks(algorithm, points)
        assert together == {point: ticks(algorithm, [point])[point] for point in points}
        assert together[points[0]] == 0 < together[points[1]]
    random = ticks(Random(), [1, 2, 4, 8])
    assert random == {1: 0, **{n: 4 * n + 1 for n in (2, 4, 8)}}  # denoise, decode, no views, verify; the choice


def test_a_units_rows_have_every_stage_and_the_device(tmp_path: Path) -> None:
    parts = toy_parts(images=70)
    problem, work = begin(parts, list(range(70))), begin_work(parts, 70)
    write_unit(tmp_path, search_and_render(parts, problem, work), parts.footer)
    rows = read_units(tmp_path).to_pylist()
    total = by_stage(problem.watch.spans)
    assert {stage: work.seconds[stage] for stage in STAGES} == pytest.approx(total)
    assert rows[0]["spent_seconds"] == pytest.approx({stage: value / 70 for stage, value in total.items()})
    assert min(total.values()) > 0 and {row["device"] for row in rows} == {parts.device_name}
    for image in range(70):
        own = [row for row in rows if row["image_id"] == image]
        searched = [row["seconds_search"] for row in own]
        assert searched[0] == 0 and searched == sorted(searched)
        assert searched[-1] == pytest.approx(sum(own[0]["spent_seconds"][stage] for stage in SEARCH), rel=0.5)
        assert all(row["seconds_final"] > 0 for row in own)
    means = [seconds_of(measured(tmp_path, 70, point)) for point in (1, 2, 4)]
    assert all(m["seconds"] == m["seconds_search"] + m["seconds_final"] > 0 for m in means)
    assert means[0]["seconds"] < means[1]["seconds"] < means[2]["seconds"]


def test_seconds_of_several_devices_are_never_one_number(tmp_path: Path) -> None:
    parts = toy_parts(images=128)
    make_missing_images(parts, tmp_path / "one")
    table = read_units(tmp_path / "one")
    for half, name in enumerate((parts.device_name, "another device")):
        rows = table.filter(pa.compute.equal(pa.compute.divide(table["image_id"], 64), half)).to_pylist()
        write_unit(tmp_path / "two", [row | {"device": name} for row in rows], parts.footer)
    assert seconds_of(measured(tmp_path / "one", 128, 4))["seconds"] > 0
    told = seconds_of(measured(tmp_path / "two", 128, 4))
    names = ", ".join(sorted((parts.device_name, "another device")))
    assert told == {"seconds": None, "seconds_search": None, "seconds_final": None, "device": names}
    assert seconds_of(measured(tmp_path / "two", 64, 4))["seconds"] > 0


def test_candidates_made_before_count(tmp_path: Path) -> None:
    """Oracle FID's first candidates are made once, before its groups: their seconds are part of every point's."""
    parts = toy_parts("verifier=oracle_fid", "budget.points=[1,2]", images=100)
    make_missing_images(parts, tmp_path)
    row = read_units(tmp_path).to_pylist()[1]
    content = (tmp_path / "first.bin").read_bytes()[-16:-4]
    first = torch.frombuffer(bytearray(content), dtype=torch.float32)
    assert (first > 0).all() and row["spent_seconds"]["denoise"] > first[0]
    assert row["seconds_search"] > float(first.sum())


def test_rates_are_kept_and_a_damaged_file_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOISE_SEARCH_CACHE", str(tmp_path))
    parts, measured_times = toy_parts(images=64), list[int]()
    whole = calibrate.measured_rates
    monkeypatch.setattr(
        calibrate, "measured_rates", lambda *given, **named: (measured_times.append(1), whole(*given, **named))[1]
    )
    first = calibrated(parts)
    assert first.device == parts.device_name and calibrated(parts) == first and len(measured_times) == 1
    assert latest(parts.run) == first and latest(toy_parts("cfg_scale=2", images=64).run) is None
    for spoilt in ("{", "[]", '{"device": "x"}', (tmp_path / "x").name):
        for path in tmp_path.glob("rates-*.json"):
            path.write_text(spoilt)
        assert latest(parts.run) is None
        again = calibrated(parts)
        assert again.network > 0 and latest(parts.run) == again
    assert len(measured_times) == 5
    other = dataclasses.replace(parts, batches=Batches(7))
    calibrated(other)
    monkeypatch.setattr("noise_search.run.parts.device_name", lambda device: "another device")
    assert calibrated(dataclasses.replace(parts)).device == "another device" and len(measured_times) == 7


@pytest.mark.parametrize(
    "options", [(), ("algorithm=zo",), ("algorithm=paths", "budget.points=[0,1]"), ("cfg_scale=2",)]
)
def test_what_is_expected_counts_what_is_done(options: tuple[str, ...], tmp_path: Path) -> None:
    """At rates of one a second the seconds are counts: of rows, latents and candidates that the meters count too."""
    parts = toy_parts("observers=[brightness]", *options, images=10)
    problem, work, plan = begin(parts, list(range(10))), begin_work(parts, 10), parts.run.plan
    rows = search_and_render(parts, problem, work)
    fast = dict.fromkeys(("network", "decode", "verify", "judge"), 1e30)

    def counted(stage: str) -> Expected:
        return expected(plan, 10, Rates("x", **fast | {stage: 1.0}), len(parts.verifier.needs))

    winners = {
        (row["image_id"], row["candidate"], *((row["point"],) * (not parts.run.algorithm.anytime))) for row in rows
    }
    renders, network = len(winners), counted("network")
    assert counted("verify").search == int(problem.scored.count.sum()) - renders == counted("decode").search
    low, high = counted("judge").judge
    assert low <= renders <= high and counted("decode").final == (low, high)
    spent = int(problem.meters.network.rows.count.sum())
    assert network.search + network.final[0] <= spent <= network.search + network.final[1]


def test_minutes_buy_the_longest_grid_that_fits() -> None:
    budget = TimeBudget(10, 20, minutes=1)
    for algorithm in (Random(), ZeroOrder(2), ZeroOrder(8), Paths(), NoSearch()):
        for rate in (1.0, 3.0, 40.0):

            def seconds(bought: Budget, algorithm: Algorithm = algorithm, rate: float = rate) -> float:
                plan = make_plan("x", algorithm, bought, 1, None)
                return (plan.sweep_search + plan.sweep_final[1]) / rate

            points = list(budget.buys(algorithm, seconds).points or ())
            assert seconds(Budget(10, 20, points=tuple(points))) <= 60
            longer = Budget(10, 20, default_nfe=(20, *(20 + 10 * 2**k for k in range(1, 12)))).bought(algorithm)
            assert longer[: len(points)] == points
            assert seconds(Budget(10, 20, points=tuple(longer[: len(points) + 1]))) > 60
    assert budget.buys(Random(), lambda bought: 6.0 * len(bought.points or ())).points == (
        1,
        *(2**k for k in range(1, 10)),
    )
    with pytest.raises(ValueError, match=r"budget.minutes=1: no search at all takes 2 minutes already"):
        budget.buys(Random(), lambda bought: 120.0)


def test_what_minutes_bought_stays_bought(tmp_path: Path) -> None:
    """Resumed, extended, verified and selected from with the points of the first start, whatever is measured later."""
    cache = {"NOISE_SEARCH_CACHE": str(tmp_path / "cache")}
    options = ("experiment=toy", "budget=time", "budget.minutes=0.002", "logger=none", "hydra.run.dir=run")
    unknown = (*options, "images=64", "plan_only=true", "model.rows_per_second=null")
    refused = call(tmp_path, *unknown, code=1, **cache)
    assert "budget.minutes=0.002: what they buy here is not known yet; give model.rows_per" in refused.stderr
    call(tmp_path, *options, "images=64", **cache)
    points = json.loads((tmp_path / "run/identity.json").read_text())["points"]
    assert points[:2] == [1, 2] and points == [2**k for k in range(len(points))]
    for path in (tmp_path / "cache").glob("rates-*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"network": 1e12, "decode": 1e12, "verify": 1e12}))
    faster = call(tmp_path, *options, "images=64", "plan_only=true", "hydra.run.dir=other", **cache).stdout
    assert f"\n  {2 * points[-1]:>5} " in faster  # what they would buy now
    call(tmp_path, *options, "images=70", **cache)
    assert json.loads((tmp_path / "run/identity.json").read_text())["points"] == points
    rows = [row for row in curve(tmp_path / "run") if row["metric"] == "score_final"]
    assert [int(row["point"]) for row in rows] == points and rows[0]["n_images"] == "70"
    assert "nothing is wrong" in ask(tmp_path, "verify", "run", "images=3").stdout
    ask(tmp_path, "select", "run", "verifier=likelihood", "into=read")
    assert numbers(tmp_path / "read/curve.csv") == numbers(tmp_path / "run/curve.csv")
    assert not create_text(tmp_path / "run/identity.json", "of a worker that came second")
    assert json.loads((tmp_path / "run/identity.json").read_text())["points"] == points


def test_figures_over_seconds_say_whose(tmp_path: Path) -> None:
    for seed in (0, 1):
        options = (*TOY, "images=64", f"seed={seed}", f"hydra.run.dir=run{seed}", "axis=seconds")
        call(tmp_path, *options, f"logger={'none' if seed else 'wandb'}")
    rows = curve(tmp_path / "run0")
    device = rows[0]["device"]
    assert "thread" in device and axis_label("seconds", rows[0]) == f"seconds per image, {device}"
    spent = [float(row["seconds"]) for row in rows if row["metric"] == "score_final"]
    assert [row["seconds"] for row in logged(tmp_path / "run0", "seconds")] == pytest.approx(spent)
    text = plotted(lambda: combine_runs([tmp_path / "run0", tmp_path / "run1"], tmp_path / "both"))
    assert len(text) > 8 and set(text) == {f"seconds per image, {device}"}
    path = tmp_path / "run1/curve.csv"
    path.write_text(path.read_text().replace(device, "another device"))
    with pytest.raises(ValueError, match=rf"axis=seconds: these runs were made on {device}; another device: a curve"):
        combine_runs([tmp_path / "run0", tmp_path / "run1"], tmp_path / "both")
    assert set(plotted(lambda: combine_runs([tmp_path / "run0"] * 2, tmp_path / "nfe", "nfe"))) == {"NFE per image"}


def plotted(draw: Callable[[], None]) -> list[str]:
    """The labels of the x axes of all figures that `draw` saves."""
    labels = []

    def kept(figure: Figure, folder: Path, name: str) -> Path:
        labels.append(figure.axes[0].get_xlabel())
        plt.close(figure)
        return folder / name

    with mock.patch("noise_search.report.combined.save", kept):
        draw()
    return labels


def test_a_run_of_two_devices_has_a_curve_but_none_over_seconds(tmp_path: Path) -> None:
    options = (*TOY, "images=128", "logger=none", "hydra.run.dir=run")
    call(tmp_path, *options)
    before = numbers(tmp_path / "run/curve.csv")
    path = tmp_path / "run/units/00000064-00000127.parquet"
    footer = {k.decode(): v.decode() for k, v in pq.read_schema(path).metadata.items() if k != b"schema"}
    rows = [
        row | {"device": "another device"} for row in read_units(tmp_path / "run").to_pylist() if row["image_id"] > 63
    ]
    write_unit(tmp_path / "run", rows, footer)
    (tmp_path / "run/run.json").unlink()
    done = call(tmp_path, *options)
    assert "no seconds of points 1, 2, 4: the images were made on" in done.stdout and "another device" in done.stdout
    assert {row["seconds"] + row["seconds_search"] + row["seconds_final"] for row in curve(tmp_path / "run")} == {""}
    assert numbers(tmp_path / "run/curve.csv") == before
    refused = call(tmp_path, *options, "axis=seconds", code=1)
    assert refused.stderr.startswith("error: axis=seconds: no seconds of points") and refused.stderr.count("\n") == 1
