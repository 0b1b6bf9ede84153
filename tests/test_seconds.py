"""Seconds beside NFE: by stage, of every point alone, never of several devices in one number."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch

from noise_search.algorithms.paths import Paths
from noise_search.algorithms.random import Random
from noise_search.core.driver import Readout, sweep_points
from noise_search.core.stopwatch import SEARCH, STAGES, Stopwatch, by_stage
from noise_search.run.evaluate import measured, seconds_of
from noise_search.run.execute import make_missing_images
from noise_search.run.parts import begin
from noise_search.run.search_units import begin_work, search_and_render
from noise_search.storage import units
from noise_search.storage.units import read_units, write_unit
from tests.conftest import make_setup
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
