"""Workers on one folder: who they are, what they share, and what becomes of units, images and memory that fail."""

import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor

from noise_search.cli.one_line import tell
from noise_search.core.denoiser import Batches
from noise_search.core.problem import Problem
from noise_search.errors import BadSetting, MissingFile, Refused
from noise_search.metrics.pixels import Pixels
from noise_search.run.assemble import assemble
from noise_search.run.description import describe
from noise_search.run.execute import make_missing_images, make_run, removed_if_refused
from noise_search.run.parts import Parts, begin
from noise_search.run.reopen import reopen
from noise_search.run.search_units import begin_work, make_units, search_and_render, walk
from noise_search.run.workers import Worker, this_worker
from noise_search.storage.curve_csv import numbers
from noise_search.storage.export import export_npz
from noise_search.storage.run_folder import finished_ids
from noise_search.storage.units import read_units, write_unit
from scripts import chaos
from tests.test_configs import configuration, described
from tests.test_run import ROOT, SERVER, TOY, call, child, command


def toy_parts(*overrides: str, images: int = 150, worker: Worker | None = None) -> Parts:
    """What `run.py experiment=toy` builds, in this process."""
    return real_parts(*TOY, *overrides, images=images, worker=worker)


def real_parts(*overrides: str, images: int, worker: Worker | None = None) -> Parts:
    """What `run.py` builds, in this process."""
    run = described("logger=none", f"images={images}", *overrides)
    return assemble(dataclasses.replace(run, worker=worker or Worker()))


def results(folder: Path) -> list[tuple]:
    """All that a result consists of, without the clock."""
    rows = read_units(folder, ["image_id", "point", "candidate", "scores", "scores_final", "digest", "features"])
    return [tuple(map(str, row.values())) for row in rows.to_pylist()]


def test_a_worker_is_what_is_configured_else_what_its_launcher_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"):
        monkeypatch.delenv(name, raising=False)
    assert this_worker(None, None) == Worker(0, 1, 0)
    for name, value in {"SLURM_PROCID": "5", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1"}.items():
        monkeypatch.setenv(name, value)
    assert this_worker(None, None) == Worker(5, 8, 1)
    for name, value in {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "3"}.items():
        monkeypatch.setenv(name, value)
    assert this_worker(None, None) == Worker(3, 4, 3)
    assert this_worker(1, 2) == Worker(1, 2, 1)
    monkeypatch.delenv("LOCAL_RANK")
    assert this_worker(None, None) == Worker(3, 4, 3)
    for rank, world in (("4", "4"), ("x", "4"), ("0", "0"), ("-1", "4")):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("WORLD_SIZE", world)
        with pytest.raises(ValueError, match=f"'RANK': '{rank}', 'WORLD_SIZE': '{world}'"):
            this_worker(None, None)


def test_workers_start_apart_and_each_would_do_everything(tmp_path: Path) -> None:
    orders = []
    for rank in range(3):
        parts = toy_parts("batch_size=64", images=640, worker=Worker(rank, 3))
        orders.append([group.start // 64 for group, _ in walk(parts, tmp_path)])
    assert [order[0] for order in orders] == [0, 3, 6]
    assert all(sorted(order) == list(range(10)) for order in orders)


def test_a_worker_leaves_out_what_another_has_finished_meanwhile(tmp_path: Path) -> None:
    parts = toy_parts("batch_size=64", images=256)
    done = tmp_path / "done"
    make_units(parts, done)
    seen = []
    for _, missing in walk(parts, tmp_path):
        seen += missing
        rows = [row for row in read_units(done).to_pylist() if 64 <= row["image_id"] < 192]
        write_unit(tmp_path, rows, parts.footer)  # the other is quick
    assert [(unit.start, unit.stop) for unit in seen] == [(0, 64), (192, 256)]


def test_batches_change_no_choice_and_workers_not_a_bit(tmp_path: Path) -> None:
    make_units(toy_parts("batch_size=64"), tmp_path / "one")
    expected = results(tmp_path / "one")
    assert len(expected) == 150 * 3
    for batch in (1, 7, 256):
        make_units(toy_parts(f"batch_size={batch}"), tmp_path / f"batch{batch}")
        found = results(tmp_path / f"batch{batch}")
        assert [row[:3] for row in found] == [row[:3] for row in expected], batch
    for world in (2, 3):
        folder = tmp_path / f"world{world}"
        for rank in reversed(range(world)):
            make_units(toy_parts("batch_size=64", worker=Worker(rank, world)), folder)
        assert results(folder) == expected, world


def test_a_unit_made_again_is_the_same_to_the_bit(tmp_path: Path) -> None:
    make_units(toy_parts("batch_size=128"), tmp_path)
    before = results(tmp_path)
    (tmp_path / "units/00000064-00000127.parquet").unlink()
    make_units(toy_parts("batch_size=128"), tmp_path)
    assert results(tmp_path) == before


def test_workers_at_once_leave_the_table_of_one(tmp_path: Path) -> None:
    call(tmp_path, *TOY, "images=400", "logger=none", "hydra.run.dir=one")
    options = (*TOY, "images=400", "logger=none", "batch_size=64", "hydra.run.dir=many")
    environment = [os.environ | {"RANK": str(r), "WORLD_SIZE": "3", "LOCAL_RANK": "0"} for r in range(3)]
    quiet = [os.devnull, os.devnull]
    begun = [(str(ROOT / "run.py"), str(tmp_path), options, variables, quiet) for variables in environment]
    processes = [SERVER.Process(target=child, args=arguments) for arguments in begun]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert numbers(tmp_path / "many/curve.csv") == numbers(tmp_path / "one/curve.csv")
    assert not list((tmp_path / "many").rglob("*.partial"))


def test_a_worker_goes_on_where_a_refused_one_has_removed_the_folder(tmp_path: Path) -> None:
    run, folder = described(*TOY, "logger=none", "images=64"), tmp_path / "run"
    folder.mkdir()  # as Hydra does for every worker
    with pytest.raises(ValueError, match="seed"), removed_if_refused(folder):
        make_run(described(*TOY, "images=64", "seed=-1"), folder)
    assert not folder.exists()
    make_run(run, folder)
    assert (folder / "run.json").is_file()


def test_a_launcher_hands_errors_on_as_they_are() -> None:
    for error in (BadSetting("images", 0, "at least 1"), Refused("no"), MissingFile("gone")):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error) and str(again) == str(error)


def test_what_a_job_elsewhere_says_is_told_whole(capsys: pytest.CaptureFixture) -> None:
    """submitit puts a job's own traceback into its message: it is neither flattened nor called a bug here."""
    for module, told in (("submitit.core.core", "error: failed:\n  in its job\n"), ("mine", "was not foreseen")):
        with pytest.raises(RuntimeError) as caught:
            exec("raise RuntimeError('failed:\\n  in its job')", {"__name__": module})
        tell(caught.value)
        said = capsys.readouterr().err
        assert told in said and ("Traceback" in said) == (module == "mine")


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    options = (*TOY, "images=150", "logger=none", "hydra.run.dir=run")
    call(tmp_path, *options)
    before = numbers(tmp_path / "run/curve.csv")
    for name in ("00000064-00000127", "00000128-00000149"):
        path = tmp_path / f"run/units/{name}.parquet"
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
    (tmp_path / "run/run.json").unlink()
    again = call(tmp_path, *options)
    assert again.stdout.count("it is set aside") == 2
    assert numbers(tmp_path / "run/curve.csv") == before
    assert len(list((tmp_path / "run/units").glob("*.damaged"))) == 2


def spoilt(parts: Parts, image: int) -> Parts:
    """The same, but the decoder makes NaN of one image's noise: the first that is rendered of it."""
    first = parts.model.decoder

    def decoder(x: Tensor) -> Tensor:
        out = first(x).clone()
        out[(x.flatten(1).sum(1) - image).abs() < 1e-6] = float("nan")
        return out

    return dataclasses.replace(parts, model=dataclasses.replace(parts.model, decoder=decoder))


def test_what_is_not_a_number_is_never_written(tmp_path: Path) -> None:
    parts = toy_parts("algorithm=none", "budget.points=[4]", images=150)
    whole: list[Tensor] = []
    parts = dataclasses.replace(
        parts, model=dataclasses.replace(parts.model, decoder=lambda x: (whole.append(x), x)[1])
    )
    make_units(parts, tmp_path / "whole")
    target = float(torch.cat(whole).flatten(1).sum(1)[70])
    with pytest.raises(ValueError, match="ids 64-127 are missing: 70 have pixels or scores not finite"):
        make_units(spoilt(parts, target), tmp_path / "broken")
    assert finished_ids(tmp_path / "broken") == set(range(150)) - set(range(64, 128))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("verifier", ["brightness", "oracle_fid"])
def test_a_candidate_that_is_not_finite_never_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: float, verifier: str
) -> None:
    whole = Problem.score_rows

    def score_rows(self: Problem, x: Tensor, views: Tensor, who: Tensor) -> Tensor:
        scores = whole(self, x, views, who)
        if 70 in self.ids:
            scores[(who == list(self.ids).index(70)).nonzero()[:1]] = value
        return scores

    monkeypatch.setattr(Problem, "score_rows", score_rows)
    parts = toy_parts(f"verifier={verifier}", images=150)
    with pytest.raises(ValueError, match=r"70 (have|are)"):
        make_missing_images(parts, tmp_path)
    assert not finished_ids(tmp_path) & set(range(64, 128))


def test_the_one_who_finishes_says_how_many_images_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = described(*TOY, "logger=none", "images=64")

    def interrupted(parts: Parts, folder: Path) -> dict[str, float]:
        (folder / "config.yaml").write_text("images: 640\n")  # by a worker that was asked for more
        return make_missing_images(parts, folder)

    monkeypatch.setattr("noise_search.run.execute.make_missing_images", interrupted)
    make_run(run, tmp_path)
    assert reopen(tmp_path).settings.images == 64


def test_an_incomplete_run_names_what_is_missing_and_fails(tmp_path: Path) -> None:
    script = f"""
import runpy, sys
sys.argv = ["run.py", *sys.argv[1:]]
import noise_search.run.search_units as units
whole = units.search_and_render
def search_and_render(*arguments, **named):
    problem = arguments[1]
    if 70 in problem.ids:
        problem.broken[list(problem.ids).index(70)] = True
    return whole(*arguments, **named)
units.search_and_render = search_and_render
runpy.run_path({str(ROOT / "run.py")!r}, run_name="__main__")
"""
    options = (*TOY, "images=150", "logger=none", "hydra.run.dir=run")
    done = subprocess.run(
        [sys.executable, "-c", script, *options], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "incomplete: ids 64-127 are missing: 70 have pixels or scores" in done.stderr
    assert not (tmp_path / "run/run.json").exists() and len(list((tmp_path / "run/units").iterdir())) == 2
    call(tmp_path, *options)  # whatever broke is mended: only the rest is made
    assert "searched and rendered 64 images" in (tmp_path / "run/run.log").read_text()


@pytest.mark.parametrize("verifier", ["brightness", "oracle_fid"])
def test_out_of_memory_halves_the_batch_and_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, verifier: str
) -> None:
    make_missing_images(toy_parts(f"verifier={verifier}", "batch_size=64"), tmp_path / "whole")
    parts = toy_parts(f"verifier={verifier}", "batch_size=64")
    inner = parts.model.network
    calls: list[int] = []

    def small(x: Tensor, *rest: Any) -> Any:
        calls.append(len(x))
        if len(x) > 20:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return inner(x, *rest)

    def judged(images: np.ndarray) -> np.ndarray:
        if len(images) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(images)

    whole = parts.judge.features
    parts = dataclasses.replace(
        parts,
        model=dataclasses.replace(parts.model, network=small),
        judge=dataclasses.replace(parts.judge, features=judged),
    )
    make_missing_images(parts, tmp_path / "small")
    assert results(tmp_path / "small") == results(tmp_path / "whole")
    assert parts.batches.size == {"brightness": 8, "oracle_fid": 16}[verifier]  # groups of 3 images there
    assert sum(n > 20 for n in calls) == 2  # 64, 32; then it is known
    assert "out of memory with 32 rows at a time: going on with 16" in caplog.text


def test_a_single_row_that_does_not_fit_ends_the_run() -> None:
    def call_(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Batches(4)(call_, torch.zeros(3, 1))


def test_a_population_verifier_works_alone(tmp_path: Path) -> None:
    options = ("experiment=toy", "verifier=oracle_fid", "budget.points=[1,4]", "images=100", "logger=none")
    done = call(tmp_path, *options, "rank=0", "world=2", code=1)
    assert "verifier=oracle_fid looks at the whole set of images: one worker only, not world=2" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    options = ("experiment=toy", "images=20000", "logger=none", "hydra.run.dir=run")
    process = subprocess.Popen(
        command(*options),
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )
    while not list(tmp_path.glob("run/units/*.parquet")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors.strip().splitlines()[-1].startswith("stopped: the same command goes on")
    assert not list(tmp_path.rglob("*.partial")) and read_units(tmp_path / "run").num_rows > 0


def test_images_that_are_not_kept_cannot_be_exported(tmp_path: Path) -> None:
    parts = toy_parts("keep_images=false")
    make_units(parts, tmp_path)
    with pytest.raises(ValueError, match="made with keep_images=false, its images were not stored"):
        export_npz(tmp_path, 1, 150, tmp_path / "samples.npz")
    assert not list(tmp_path.glob("samples*"))
    run = configuration(*TOY, "keep_images=false")
    judge = mock.patch.object(Pixels, "export_npz", True)
    with judge, pytest.raises(ValueError, match=r"metrics\.export_npz=true: with keep_images=true only"):
        describe(*run)


def test_without_kept_images_only_the_shown_ones_are_stored(tmp_path: Path) -> None:
    make_units(toy_parts("keep_images=false"), tmp_path)
    table = read_units(tmp_path, ["image_id", "png", "digest"])
    kept = np.array([png is not None for png in table["png"].to_pylist()])
    assert (kept == (table["image_id"].to_numpy() < 100)).all() and table["digest"].null_count == 0


def test_killed_workers_and_spoilt_files_leave_the_table_of_one_quiet_worker(capsys: pytest.CaptureFixture) -> None:
    chaos.main(["images=192", "workers=2", "kills=1"])
    assert "identical: 27 rows" in capsys.readouterr().out


def test_batches_change_the_choices_of_the_real_model_at_ties_only() -> None:
    """float32; one search of 4 images, 4 candidates: a choice may differ where two scores are nearly the same."""
    cfg = ("model.precision=float32", "verifier.precision=float32", "budget.points=[1,4]")
    parts = [real_parts(*cfg, f"batch_size={size}", images=4) for size in (64, 1, 7)]
    whole, *others = (search_and_render(p, begin(p, list(range(4))), begin_work(p, 4)) for p in parts)
    for batch, split in zip((1, 7), others, strict=True):
        different = 0
        for one, other in zip(whole, split, strict=True):
            assert one["scores"] == pytest.approx(other["scores"], abs=1e-2, nan_ok=True)
            different += one["candidate"] != other["candidate"]
        print(f"batches of {batch} against 64: {different} of {len(whole)} choices differ, all at ties")
        assert different <= 1
