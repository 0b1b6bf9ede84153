"""`python run.py` as a user meets it: the toy from noise to report, resuming, the wandb mirror, wrong input."""

import csv
import json
import multiprocessing
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from wandb.proto import wandb_internal_pb2

from noise_search.assets import asset
from noise_search.storage.curve_csv import COLUMNS, numbers
from noise_search.storage.run_folder import noted
from noise_search.storage.weights import load_weights, save_weights

ROOT = Path(__file__).parents[1]
TOY = ("experiment=toy", "budget.points=[1,2,4]", "budget.search_nfe=4", "budget.final_nfe=6")


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "run.py"), *arguments]


def call(
    folder: Path, *arguments: str, code: int = 0, figures: bool = False, **environment: str
) -> subprocess.CompletedProcess:
    """`python run.py` in `folder`, in a process of its own; without figures, which take most of a small run's time."""
    drawn = () if figures else ("draw_figures=false",)
    return script(ROOT / "run.py", folder, (*arguments, *drawn), code, environment)


def script(
    path: Path, folder: Path, arguments: Sequence[str], code: int, environment: Mapping[str, str]
) -> subprocess.CompletedProcess:
    """A program of the project in a fresh process, forked from one that has imported the big libraries already: that
    halves what a small run takes. Nothing of noise_search is in it."""
    with tempfile.TemporaryDirectory() as scratch:
        streams = [str(Path(scratch) / name) for name in ("out", "err")]
        process = SERVER.Process(
            target=child, args=(str(path), str(folder), arguments, {**os.environ, **environment}, streams)
        )
        process.start()
        process.join()
        out, err = (Path(stream).read_text() for stream in streams)
    assert process.exitcode == code, out + err
    return subprocess.CompletedProcess([str(path), *arguments], code, out, err)


SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["torch", "torchvision", "timm", "matplotlib.pyplot", "pyarrow.parquet", "hydra", "PIL.Image"]
)


def child(path: str, folder: str, arguments: Sequence[str], environment: dict[str, str], streams: list[str]) -> None:
    """What the new process does: become `python path arguments`."""
    for number, stream in enumerate(streams, start=1):
        os.dup2(os.open(stream, os.O_WRONLY | os.O_CREAT), number)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv, sys.path[0] = [path, *arguments], str(ROOT)
    sys.path[1:1] = [place for place in environment.get("PYTHONPATH", "").split(os.pathsep) if place]
    torch.set_num_threads(int(environment.get("OMP_NUM_THREADS", torch.get_num_threads())))
    runpy.run_path(path, run_name="__main__")


def curve(folder: Path) -> list[dict[str, str]]:
    with (folder / "curve.csv").open() as file:
        return list(csv.DictReader(file))


def values(folder: Path, metric: str) -> list[float]:
    return [float(row["value"]) for row in curve(folder) if row["metric"] == metric]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 150 images: two whole units and a part of one."""
    folder = tmp_path_factory.mktemp("toy")
    call(folder, *TOY, "images=150", "logger=wandb", figures=True)
    (run,) = (folder / "outputs").iterdir()
    return run


def test_a_run_leaves_everything(toy: Path) -> None:
    assert toy.name.startswith("toy-random-likelihood-")
    rows = curve(toy)
    assert tuple(rows[0]) == COLUMNS
    assert {row["metric"] for row in rows} >= {
        *("score", "score_final", "inception_score", "frechet_distance", "kernel_distance", "precision", "recall")
    }
    assert [row["nfe"] for row in rows if row["metric"] == "score"] == ["6", "14", "22"]
    assert [row["nfe_paper"] for row in rows if row["metric"] == "score"] == ["6", "10", "18"]
    assert all(row["n_images"] == "150" and row["network"] for row in rows)
    for name in ("report.html", "config.yaml", "run.log", "run.json", "plan.csv", "floors.csv"):
        assert (toy / name).stat().st_size > 0
    for metric in ("score_final", "kernel_distance", "frechet_distance"):
        assert (toy / f"figures/{metric}.png").stat().st_size > 1000
        assert (toy / f"figures/{metric}.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in (toy / "images").iterdir()) == [
        *("nfe000006.png", "nfe000014.png", "nfe000022.png", "side_by_side.png")
    ]
    assert [path.name for path in sorted((toy / "units").iterdir())] == [
        *("00000000-00000063.parquet", "00000064-00000127.parquet", "00000128-00000149.parquet")
    ]


def test_searching_raises_the_score(toy: Path) -> None:
    scores = values(toy, "score_final")
    assert scores == sorted(scores) and scores[-1] > scores[0]
    gain = [row for row in curve(toy) if row["metric"] == "score_final_gain"][-1]
    assert float(gain["ci_low"]) > 0


def test_the_report_is_self_contained(toy: Path) -> None:
    text = (toy / "report.html").read_text()
    assert text.count("data:image/png;base64,") >= 100 and text.count('<svg class="plot"') >= 8
    assert "http://" not in text and "https://" not in text and 'src="/' not in text


def test_the_bill_is_what_was_metered(toy: Path) -> None:
    spent = json.loads((toy / "run.json").read_text())["spent"]
    table = pq.read_table(toy / "units")
    winners = {(i, c) for i, c in zip(table["image_id"].to_pylist(), table["candidate"].to_pylist(), strict=True)}
    assert spent["distinct_winners"] == len(winners)
    assert spent["nfe"] == 150 * 4 * 4 + 6 * len(winners) == spent["network_rows"]
    assert spent["images_scored"] == 150 * 4 + len(winners) == spent["latents_decoded"]


def test_a_second_run_does_nothing_and_more_images_extend(toy: Path, tmp_path: Path) -> None:
    home = toy.parents[1]

    def files() -> dict[Path, int]:  # wandb's own process may still write its debug log
        found = [path for path in toy.rglob("*") if path.is_file() and path.name != "debug-core.log"]
        return {path: path.stat().st_mtime_ns for path in found}

    before = files()
    assert "nothing to do" in call(home, *TOY, "images=150", "logger=none").stdout
    assert before == files()
    call(tmp_path, *TOY, "images=70", "logger=none", "batch_size=64", "hydra.run.dir=grown")
    other = call(tmp_path, *TOY, "images=150", "logger=none", "batch_size=7", "hydra.run.dir=grown", code=1)
    assert "holds results of tuning.batch_size=64, not 7" in other.stderr
    call(tmp_path, *TOY, "images=150", "logger=none", "hydra.run.dir=grown")
    grown = tmp_path / "grown"
    assert (grown / "run.log").read_text().count("batches of 64 rows") == 2  # as it was begun; the toy's own are 256
    assert len(list((grown / "units").iterdir())) == 4
    found, expected = ([float(row["value"] or "nan") for row in curve(folder)] for folder in (grown, toy))
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-5, nan_ok=True)


def test_a_killed_run_goes_on(tmp_path: Path) -> None:
    arguments = (*TOY, "images=4000", "logger=none", "batch_size=64", "hydra.run.dir=killed")
    process = subprocess.Popen(command(*arguments), cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    units = tmp_path / "killed/units"
    deadline = time.monotonic() + 120
    while len(list(units.glob("*.parquet"))) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = {path.name: path.read_bytes() for path in units.glob("*.parquet")}
    assert 3 <= len(kept) < 63
    assert not (tmp_path / "killed/curve.csv").exists()
    call(tmp_path, *arguments)
    assert len(list(units.glob("*.parquet"))) == 63
    assert all((units / name).read_bytes() == content for name, content in kept.items())
    assert len(curve(tmp_path / "killed")) > 0


def records(path: Path) -> list[Any]:
    """The records of an offline wandb file: LevelDB log blocks of 32 KiB, checksums included."""
    content, out, buffer, at = path.read_bytes(), [], b"", 7
    assert content[:4] == b":W&B"
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        checksum, length, kind = (
            int.from_bytes(content[at : at + 4], "little"),
            int.from_bytes(content[at + 4 : at + 6], "little"),
            content[at + 6],
        )
        data = content[at + 7 : at + 7 + length]
        assert zlib.crc32(bytes([kind]) + data) == checksum
        buffer = data if kind in (1, 2) else buffer + data
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(buffer)
            out.append(record)
        at += 7 + length
    return out


def logged(run: Path, axis: str) -> list[dict[str, Any]]:
    """What the offline wandb file of a run has logged, all of it against `axis`."""
    (path,) = run.glob("wandb/offline-run-*/*.wandb")
    found = records(path)
    defined = [r.metric for r in found if r.WhichOneof("record_type") == "metric"]
    assert any(metric.glob_name == "*" and metric.step_metric == axis for metric in defined)
    history = []
    for record in found:
        if record.WhichOneof("record_type") == "history":
            items = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            history.append({key: json.loads(value) for key, value in items.items()})
    return history


def test_wandb_holds_metrics_against_nfe_and_the_images(toy: Path) -> None:
    history = logged(toy, "nfe")
    assert [row["nfe"] for row in history] == [6, 14, 22]
    assert [row["score_final"] for row in history] == pytest.approx(values(toy, "score_final"))
    assert len(list(toy.glob("wandb/offline-run-*/files/media/images/*.png"))) == 3


def test_without_a_logger_wandb_is_not_imported(tmp_path: Path) -> None:
    script = (
        "import sys, runpy; sys.argv = ['run.py', *sys.argv[1:]];\n"
        f"try: runpy.run_path({str(ROOT / 'run.py')!r}, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'timm' in sys.modules and 'wandb' not in sys.modules"
    )
    arguments = ("images=2", "budget.points=[1]", "draw_figures=false", "logger=none")
    subprocess.run([sys.executable, "-c", script, *arguments], cwd=tmp_path, check=True, capture_output=True)


def test_a_plan_needs_neither_weights_nor_torch(tmp_path: Path) -> None:
    script = (
        "import sys, runpy; sys.argv = ['run.py', *sys.argv[1:]]; sys.modules['torch'] = None\n"
        f"try: runpy.run_path({str(ROOT / 'run.py')!r}, run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code"
    )
    arguments = ("plan_only=true", "model=sit_xl_2", "model.weights=/nowhere", "hydra.run.dir=plan")
    for budget in ("paper", "time"):  # minutes: by model.rows_per_second, where nothing like it was measured here
        options = [sys.executable, "-c", script, *arguments, f"budget={budget}", "budget.search_nfe=50"]
        done = subprocess.run(options, cwd=tmp_path, check=True, capture_output=True, text=True)
        assert "rows/s (model.rows_per_second)" in done.stdout
    assert [path.name for path in (tmp_path / "plan").iterdir()] == ["plan.csv"]


def test_a_model_whose_costs_are_not_known_has_no_gflops_and_its_rate_is_measured(tmp_path: Path) -> None:
    unknown = ("model.multiply_adds=null", "model.rows_per_second=null")
    options, cache = (*TOY, *unknown, "images=20", "logger=none", "hydra.run.dir=run"), str(tmp_path / "cache")
    done = call(tmp_path, *options, NOISE_SEARCH_CACHE=cache)
    assert "expected: not known before the model's rate is measured" in done.stdout
    number = r"[\d.e-]+"
    expected = (
        rf"expected: {number} seconds of search, {number} to {number} seconds of final generation, "
        rf"{number} to {number} seconds of judge \(measured on .+, \d+ threads?"
    )
    assert re.search(expected + r"\)\n", done.stdout)
    plan = call(tmp_path, *options, "plan_only=true", NOISE_SEARCH_CACHE=cache).stdout
    assert re.search(expected + r", earlier\)\n", plan)  # what the run measured
    assert {row["gflops"] for row in curve(tmp_path / "run")} == {""}
    assert "20 images" in (tmp_path / "run/report.html").read_text()


@pytest.mark.parametrize("images", [1, 2, 5])
def test_few_images_leave_metrics_empty(tmp_path: Path, images: int) -> None:
    done = call(tmp_path, *TOY, f"images={images}", "logger=none", "hydra.run.dir=few")
    empty = {row["metric"] for row in curve(tmp_path / "few") if row["point"] == "4" and not row["value"]}
    assert empty == {1: {"frechet_distance", "kernel_distance", "precision", "recall"}, 2: {"precision", "recall"}}.get(
        images, set()
    )
    said = f"no {', '.join(sorted(empty))}: {images} images are too few"
    assert (said in done.stdout) == bool(empty)


def test_without_a_search_there_is_no_search_score(tmp_path: Path) -> None:
    call(tmp_path, *TOY, "budget.points=[1]", "images=4", "logger=none", "hydra.run.dir=one")
    rows = {row["metric"]: row for row in curve(tmp_path / "one")}
    assert rows["score"]["value"] == "" and rows["score_final"]["value"] != ""
    assert rows["score"]["nfe"] == "6"
    assert "too few" not in (tmp_path / "one/run.log").read_text()


def test_the_same_classes_whatever_the_order(tmp_path: Path) -> None:
    call(tmp_path, *TOY, "dataset.classes=[3,5]", "images=4", "logger=none", "hydra.run.dir=two")
    table = pq.read_table(tmp_path / "two/units")
    assert dict(zip(table["image_id"].to_pylist(), table["condition"].to_pylist(), strict=True)) == {
        0: 3,
        1: 5,
        2: 3,
        3: 5,
    }


CIFAR10 = "model=sit_cifar10 dataset=cifar10 metrics=lite2"
TABLE = "model.schedule._target_=noise_search.core.schedule.Table"
WRONG = {
    "imagse=3": "unknown option 'imagse'; did you mean 'images'?",
    "verifier.colour=1": "verifier has no 'colour'",
    "budget=1000": "budget is a group; totals go in budget.nfe=[1000]",
    "algorithm=hope": "Could not find 'algorithm/hope' Available options in 'algorithm': beam dno",
    "budget.nfe=[5] budget.points=null": "budget.nfe=5: below the final generation, budget.final_nfe=6",
    "budget.nfe=[6,7] budget.points=null": "budget.nfe=7: buys nothing more than a smaller one does (random with 1)",
    "budget.nfe=[6]": "budget.nfe=[6] budget.points=[1, 2, 4]: give one of them",
    "budget.points=[-1]": "budget.points=[-1]: growing whole numbers from 0 on",
    "algorithm=zo algorithm.similarity=1": "algorithm.similarity=1: between -1 and 1",
    "algorithm=zo algorithm.on_stall=cry": "algorithm.on_stall=cry: keep or redraw",
    "algorithm=zo algorithm.neighbours=2.5": "algorithm.neighbours=2.5: a whole number",
    "algorithm=paths algorithm.start=null": "algorithm.start=None: a number",
    "algorithm=paths algorithm.back=0.7": "algorithm.back=0.7: above forward=0.78, or the search never ends",
    "algorithm=paths algorithm.pool=some": "algorithm.pool=some: all or per_path",
    "algorithm=first_order algorithm.step_size=0": "algorithm.step_size=0: above 0, at most 1",
    "algorithm=first_order verifier=oracle_is": "verifier oracle_is has no gradient",
    "algorithm=zo verifier=oracle_fid": "with independent candidates (algorithm=random) only, not ZO-2",
    "verifier=oracle_fid budget.search_nfe=6": "another budget.final_nfe than budget.search_nfe, its",
    "experiment=paper/fig3 rank=0 world=8 plan_only=true": "whole set of images: one worker only, not world=8",
    "verifier=oracle_fid verifier.share=0.5": "verifier.share=0.5: above 0, at most 0.02",
    f"{CIFAR10} verifier=classifier_ssl budget.search_nfe=2": "nearest knot is an end",
    "observers=[hope]": "observers=['hope']: Could not find 'verifier/hope'",
    "observers=[likelihood]": "observers=['likelihood']: likelihood scores every candidate already",
    "observers=[oracle_fid]": "observers: oracle_fid gives no score of one image",
    "budget.points=[0,1]": "budget.points=[0, 1]: 0 and 1 cost the same 6 NFE",
    "observers=likelihood": "observers=likelihood: a list of verifiers, each once",
    "budget=time": "budget has no 'points'",
    "budget.search_nfe=0": "budget.search_nfe=0: a whole number, at least 1",
    "dataset.classes=[10]": "10 is not a class id of mixture; 0 to 9",
    "batch_size=0": "batch_size=0: auto or a whole number of rows, at least 1",
    "dataset.classes=3": "dataset.classes=3: a list of whole numbers or null",
    "cfg_scale=abc": "cfg_scale=abc: a number, at least 0",
    "guidance.channels=0": "guidance.channels=0: all or a whole number, at least 1",
    "guidance=null": "guidance=None: a group of channels and interval",
    "guidance.channels=7": "guidance.channels=7: toy has 3",
    "model.rows_per_second=-5": "model.rows_per_second=-5",
    "guidance.interval=[0.5,0.2]": "guidance.interval=[0.5, 0.2]: [low, high], two times between 0",
    "axis=x": "axis=x: one of nfe, nfe_paper, seconds",
    "metrics=lite2 device=cpu:x": "device=cpu:x: auto, cpu, cuda or cuda:N",
    CIFAR10: "verifier likelihood knows the classes of mixture, dataset cifar10 has those of",
    "dataset=cifar10 verifier=brightness": "model toy knows the classes of mixture, dataset cifar10 has",
    "metrics=lite2 verifier=brightness": "metrics: their classes are those of cifar10, dataset mixture has those of",
    "model=sit_cifar10": "model sit_cifar10 knows the classes of cifar10, dataset mixture has those of",
    "observers.x=1": "observers.x=1: observers is a list of names",
    "~seed": "seed is not given",
    "dataset=imagenet256": "dataset imagenet256 has 1000 classes, model toy 10 classes",
    "images=0": "images=0: a whole number, at least 1",
    "images=many": "images=many: a whole number, at least 1",
    "seed=-1": "seed=-1: a whole number from 0",
    "cfg_scale=-1": "cfg_scale=-1: a number, at least 0",
    "device=tpu": "device=tpu: auto, cpu, cuda or cuda:N",
    "model.solver=rk4": "model.solver=rk4: one of heun, euler",
    f"{TABLE} +model.schedule.spacing=bent": "spacing=bent: one of trailing, rounded, leading, spaced, ddim",
    f"{TABLE} +model.schedule.spacing=ddim budget.final_nfe=300": "model.schedule.spacing=ddim: no whole stride",
    "+model.schedule.shift=3": "unknown option 'model.schedule.shift': there are no options of",
    "model.schedule=uniform": "model.schedule=uniform: a time schedule",
    "model.interpolant=bent": "model.interpolant=bent: one of linear, cosine",
    "hydra.run.dir=/dev/null/out": "/dev/null",
    "+foo=1": "unknown option 'foo': there are images, seed",
    "+guidance.foo=1": "unknown option 'guidance.foo': there are channels, interval",
    "+model.foo=1": "unknown option 'model.foo': there are model.name",
    **{f"+{key}.foo=1": f"unknown option '{key}.foo': there are {key}." for key in ("budget", "dataset")},
    **{
        f"+{key}.foo=1": f"unknown option '{key}.foo': there are no options of noise_search."
        for key in ("logger", "algorithm", "metrics", "verifier")
    },
    "verifier=ensemble +verifier.members.classifier.foo=1": "unknown option 'verifier.members.classifier.foo'",
    **{
        f"{group}._target_=noise_search.{target}": f"_target_='noise_search.{target}': there is no such part ("
        for group, target in (("algorithm", "algorithms.hope.Hope"), ("verifier", "verifiers.oracle.Hope"))
    },
}


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_input_is_one_clear_line_and_leaves_nothing(tmp_path: Path, arguments: str) -> None:
    done = call(tmp_path, *TOY, "logger=none", *arguments.split(), code=1)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: ") and WRONG[arguments] in lines[0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_sweep_leaves_one_folder_a_job(tmp_path: Path) -> None:
    call(tmp_path, "-m", *TOY, "images=3", "logger=wandb", "seed=0,1", "cfg_scale=1.0,1.5")
    folders = list((tmp_path / "outputs").glob("toy-random-likelihood-*"))
    assert len(folders) == 4
    rows = {(row["seed"], row["cfg_scale"]): row for folder in folders for row in curve(folder)[-1:]}
    assert set(rows) == {(seed, scale) for seed in ("0", "1") for scale in ("1.0", "1.5")}
    assert int(rows["0", "1.5"]["network_rows"]) == 2 * int(rows["0", "1.0"]["network_rows"])
    (sweep,) = (tmp_path / "outputs").glob("sweep-*")
    for folder in folders:
        (path,) = folder.glob("wandb/offline-run-*/*.wandb")
        (run,) = [record.run for record in records(path) if record.WhichOneof("record_type") == "run"]
        assert (run.run_group, run.job_type) == (sweep.name, "random")
        assert set(run.tags) == {"toy", "mixture", "likelihood"}
    (path,) = sweep.glob("wandb/offline-run-*/*.wandb")
    (run,) = [record.run for record in records(path) if record.WhichOneof("record_type") == "run"]
    assert (run.run_group, run.job_type) == (sweep.name, "sweep")
    (table,) = sweep.glob("wandb/offline-run-*/files/media/table/sweep/kernel_distance*.json")
    assert {row[1] for row in json.loads(table.read_text())["data"]} == {"cfg_scale=1.0", "cfg_scale=1.5"}
    assert {row["seed"] for row in curve(sweep)} == {"0", "1"}
    assert noted(sweep) == dict.fromkeys((folder.resolve() for folder in folders), "3")
    (folders[0] / "units/00000000-00000002.parquet").unlink()
    again = call(tmp_path, "-m", *TOY, "images=3", "logger=none", "seed=0,1", "cfg_scale=1.0,1.5").stdout
    assert again.count("searched and rendered 3 images") == 1 and again.count("nothing to do") == 3


def test_every_algorithm_runs_and_pays_what_it_planned(tmp_path: Path) -> None:
    """One sweep: one folder a job, one combined curve and figure."""
    options = (
        "experiment=toy",
        "images=20",
        "logger=none",
        "algorithm=none,random,zo,paths,first_order,smc,svdd,evolution,evosearch",
    )
    call(tmp_path, "-m", *options)
    folders = sorted((tmp_path / "outputs").glob("toy-*"))
    assert len(folders) == 9
    for folder in folders:
        spent = json.loads((folder / "run.json").read_text())["spent"]
        assert spent["nfe"] == spent["nfe_search"] + spent["nfe_final"] == spent["network_rows"]
        assert (spent["nfe_backward"] > 0) == ("first_order" in folder.name)
        for row in curve(folder):
            assert int(row["nfe"]) == int(row["nfe_search"]) + int(row["nfe_final"]) <= 180
            finished = any(name in folder.name for name in ("paths", "smc", "svdd", "evosearch"))
            assert (int(row["nfe_final"]) == 0) == (finished and row["point"] != "0")
        assert "paths" in folder.name or values(folder, "score_final")[-1] > values(folder, "score_final")[0]
    (sweep,) = (tmp_path / "outputs").glob("sweep-*")
    combined = curve(sweep)
    assert {row["series"] for row in combined} == {
        "none",
        "random",
        "zo",
        "paths",
        "first_order",
        "smc",
        "svdd",
        "evolution",
        "evosearch",
    }
    assert len(combined) == sum(len(curve(folder)) for folder in folders)
    assert (sweep / "figures/score_final.png").stat().st_size > 1000


def test_select_gives_what_a_run_of_its_own_gives(tmp_path: Path) -> None:
    """The same candidates read again under another verifier: same curve, and only new winners are rendered."""
    options = (*TOY, "images=70", "logger=none")
    call(tmp_path, *options, "observers=[brightness]", "hydra.run.dir=outputs/first")
    call(tmp_path, *options, "verifier=brightness", "observers=[likelihood]", "hydra.run.dir=direct")

    def select(*arguments: str, code: int = 0) -> subprocess.CompletedProcess:
        return script(ROOT / "noise_search/__main__.py", tmp_path, ("select", "outputs/first", *arguments), code, {})

    folder = tmp_path / select("verifier=brightness").stdout.splitlines()[-1]
    assert folder.name == "first-select-brightness"
    again = select("verifier=brightness")
    assert again.stdout.splitlines() == [str(folder.relative_to(tmp_path))]
    assert numbers(folder / "curve.csv") == numbers(tmp_path / "direct/curve.csv")
    spent = {run: json.loads((run / "run.json").read_text())["spent"] for run in (folder, tmp_path / "direct")}
    facts = json.loads((folder / "run.json").read_text())["facts"]
    assert facts["candidates read again from"] == "../first"
    assert spent[folder]["nfe_search"] == 0 and 0 < spent[folder]["nfe"] < spent[tmp_path / "direct"]["nfe_final"]
    names, *rows = csv.reader((tmp_path / "direct/figures/cross_verifier.csv").read_text().splitlines())
    assert names == ["selected by", "judged by brightness", "judged by likelihood"]
    assert float(rows[0][1]) > float(rows[1][1]) and float(rows[1][2]) > float(rows[0][2])
    names, first, second = csv.reader((tmp_path / "direct/figures/correlation.csv").read_text().splitlines())
    assert names == ["r of n = 70", "brightness", "likelihood"] and first[1] == second[2] == "1.0000"
    assert first[2] == second[1] and -1 < float(first[2]) < 1
    assert (tmp_path / "direct/figures/correlation.png").stat().st_size > 1000
    select("verifier=brightness", "points=1,3", "into=fewer")
    assert [row["point"] for row in curve(tmp_path / "fewer") if row["metric"] == "score_final"] == ["1", "3"]
    most = curve(folder)[-1]["point"]
    for points, words in ((f"1,{int(most) + 1}", f"has {most} candidates an image"), ("x", "usage: noise-search")):
        wrong = select("verifier=brightness", f"points={points}", "into=other", code=1)
        assert words in wrong.stderr and not (tmp_path / "other").exists()
    wrong = select("verifier=classifier", code=1)
    assert "no scores of classifier like that, only of likelihood, brightness" in wrong.stderr


def test_oracle_fid_lowers_its_distance_and_goes_on_where_it_was(tmp_path: Path) -> None:
    options = ("experiment=toy", "budget.points=[1,4,16]", "verifier=oracle_fid", "images=200", "logger=none")
    call(tmp_path, *options, "hydra.run.dir=whole")
    distances = values(tmp_path / "whole", "frechet_distance")
    assert distances == sorted(distances, reverse=True) and distances[-1] < 0.95 * distances[0]
    shutil.copytree(tmp_path / "whole", tmp_path / "cut")
    units = sorted((tmp_path / "cut/units").iterdir())
    assert len(units) == 50  # groups of 2 %
    for path in units[30:]:
        path.unlink()
    (tmp_path / "cut/run.json").unlink()
    shutil.copytree(tmp_path / "cut", tmp_path / "spoilt")
    content = bytearray((tmp_path / "cut/first.bin").read_bytes())
    content[1000] ^= 1
    (tmp_path / "spoilt/first.bin").write_bytes(content)
    expected = [float(row["value"] or "nan") for row in curve(tmp_path / "whole")]
    for name in ("cut", "spoilt"):
        call(tmp_path, *options, f"hydra.run.dir={name}")
        found = [float(row["value"] or "nan") for row in curve(tmp_path / name)]
        assert found == pytest.approx(expected, rel=1e-5, abs=1e-5, nan_ok=True)
        assert (tmp_path / name / "first.damaged").is_file() == (name == "spoilt")


def test_missing_assets_and_other_settings_are_told(tmp_path: Path) -> None:
    base = ("logger=none", "images=2")
    missing = call(tmp_path, *base, "verifier.head=/nowhere/head.safetensors", code=1)
    assert "/nowhere/head.safetensors" in missing.stderr
    (tmp_path / "broken.safetensors").write_bytes(b"not weights at all")
    broken = call(tmp_path, *base, "model.weights=broken.safetensors", code=1)
    assert "broken.safetensors" in broken.stderr and len(broken.stderr.strip().splitlines()) == 1
    call(tmp_path, *TOY, *base, "hydra.run.dir=mine")
    other = call(tmp_path, *TOY, *base, "seed=1", "budget.final_nfe=8", "hydra.run.dir=mine", code=1)
    assert "settings.seed=0, not 1" in other.stderr and "settings.budget.final_nfe=6, not 8" in other.stderr


def test_other_weights_are_refused(tmp_path: Path) -> None:
    arguments = ("logger=none", "verifier.head=head.safetensors", "budget.points=[1]", "hydra.run.dir=mine")
    shutil.copy(asset("classifier_lite0.safetensors"), tmp_path / "head.safetensors")
    call(tmp_path, *arguments, "images=2")
    state, card = load_weights(tmp_path / "head.safetensors", "bias")
    save_weights(tmp_path / "head.safetensors", {**state, "bias": state["bias"] + 1}, card, torch.float32)
    again = call(tmp_path, *arguments, "images=2", code=1)
    assert "holds results of weights.head.safetensors=" in again.stderr


def test_a_failing_wandb_does_not_end_a_run(tmp_path: Path) -> None:
    done = call(tmp_path, *TOY, "images=3", "logger=wandb", "hydra.run.dir=kept", WANDB_MODE="nonsense")
    assert "wandb: " in done.stderr and "the results are in" in done.stderr
    assert (tmp_path / "kept/run.json").is_file()


def test_the_traceback_is_there_on_request(tmp_path: Path) -> None:
    done = call(tmp_path, *TOY, "images=0", code=1, HYDRA_FULL_ERROR="1")
    assert "Traceback" in done.stderr


@pytest.mark.parametrize("where", ["configuration.compose.read", "run.search_units.search_and_render"])
def test_a_developers_own_bug_shows_its_traceback_and_says_so(tmp_path: Path, where: str) -> None:
    """A TypeError, a RuntimeError or a ValueError of nobody's purpose is never told as if the user were wrong."""
    module, name = where.rsplit(".", 1)
    for error in ("TypeError", "RuntimeError", "ValueError", "KeyError"):
        buggy = tmp_path / "buggy.py"
        buggy.write_text(f"""
import runpy
import noise_search.{module} as module
def buggy(*arguments, **named):
    raise {error}("a slip")
module.{name} = buggy
import noise_search.cli.main
noise_search.cli.main.read = getattr(module, "read", noise_search.cli.main.read)
runpy.run_path({str(ROOT / "run.py")!r}, run_name="__main__")
""")
        done = script(buggy, tmp_path, (*TOY, "images=2", "logger=none"), 1, {})
        assert "in buggy" in done.stderr and error in done.stderr
        assert done.stderr.strip().endswith("The traceback above says where.")


def test_what_hydra_cannot_compose_is_one_line(tmp_path: Path) -> None:
    broken = ("verifier=[1,2]", "+a@b=c", "verifier=hope", "images=[1", "~nothing", "hydra.run.dir=${x}", "images=???")
    for override in broken:
        done = call(tmp_path, *TOY, override, code=1)
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr


def test_no_wandb_is_told_before_anything_runs(tmp_path: Path) -> None:
    script = (
        "import sys, runpy; sys.argv = ['run.py', *sys.argv[1:]]; sys.modules['wandb'] = None\n"
        f"runpy.run_path({str(ROOT / 'run.py')!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *TOY, "images=2"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "use logger=none" in done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
