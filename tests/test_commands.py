"""`noise-search`: what it says of runs that are whole, unfinished or spoilt."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from noise_search.assets import asset
from noise_search.storage.curve_csv import numbers
from noise_search.storage.units import read_units
from tests.test_run import ROOT, TOY, call, logged, script, values


def ask(folder: Path, *arguments: str, code: int = 0, **environment: str) -> subprocess.CompletedProcess:
    return script(ROOT / "noise_search/__main__.py", folder, arguments, code, environment)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one finished run, `run`."""
    folder = tmp_path_factory.mktemp("home")
    call(folder, *TOY, "images=150", "logger=none", "hydra.run.dir=run")
    return folder


@pytest.fixture
def copy(home: Path, tmp_path: Path) -> Path:
    shutil.copytree(home / "run", tmp_path / "run")
    return tmp_path


def flip(path: Path, at: float = 0.5) -> None:
    content = bytearray(path.read_bytes())
    content[int(at * len(content))] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("command", ["compare", "calibrate"])
def test_a_command_tells_its_own_line(command: str, tmp_path: Path) -> None:
    said = ask(tmp_path, command, "--help").stdout.splitlines()
    assert len(said) == 1 and said[0].startswith(f"noise-search {command} ")


def test_who_reads_may_leave() -> None:
    """`noise-search doctor | head -1`: no traceback."""
    reads, writes = os.pipe()
    os.close(reads)
    asked = subprocess.run(
        [sys.executable, "-m", "noise_search", "compare", "--help"], cwd=ROOT, stdout=writes, stderr=subprocess.PIPE
    )
    os.close(writes)
    assert (asked.returncode, asked.stderr) == (1, b"")


def test_status_says_what_is_done_and_what_is_missing(copy: Path) -> None:
    whole = ask(copy, "status", "run").stdout
    assert "150 of 150 images in 3 units" in whole and whole.rstrip().endswith("complete")
    (copy / "run/units/00000064-00000127.parquet").unlink()
    part = ask(copy, "status", "run", code=1).stdout
    assert "86 of 150 images in 2 units" in part and "missing: image ids 64-127" in part and "minutes left" in part


def test_verify_makes_images_again_and_finds_them_equal(copy: Path) -> None:
    said = ask(copy, "verify", "run", "images=5").stdout
    assert "150 images checked" in said and "15 of 15 are the same" in said and "nothing is wrong" in said


def test_verify_finds_damage_and_the_same_command_mends_it(copy: Path) -> None:
    before = numbers(copy / "run/curve.csv")
    flip(copy / "run/units/00000000-00000063.parquet")
    said = ask(copy, "verify", "run", code=1).stdout
    assert "damaged and is set aside" in said and "missing: image ids 0-63" in said
    (copy / "run/curve.csv").unlink()
    again = call(copy, *TOY, "images=150", "logger=none", "hydra.run.dir=run")
    assert "searched and rendered 64 images" in again.stdout
    assert numbers(copy / "run/curve.csv") == before
    assert "nothing is wrong" in ask(copy, "verify", "run", "images=0").stdout


def test_units_of_other_settings_are_never_mixed(copy: Path) -> None:
    call(copy, *TOY, "images=150", "logger=none", "hydra.run.dir=other", "seed=1")
    shutil.copy(copy / "other/units/00000064-00000127.parquet", copy / "run/units")
    said = ask(copy, "verify", "run", code=1).stdout
    assert "00000064-00000127.parquet: made with other settings" in said and "1 problems" in said
    (copy / "run/run.json").unlink()
    refused = call(copy, *TOY, "images=150", "logger=none", "hydra.run.dir=run", code=1)
    assert "00000064-00000127.parquet was made with other settings than the files before it" in refused.stderr
    (copy / "other/identity.json").unlink()
    refused = call(copy, *TOY, "images=150", "logger=none", "hydra.run.dir=other", code=1)
    assert "other holds results, but no identity.json says of what" in refused.stderr


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (
            "config.yaml",
            "- 1",
            "is not as this version writes it: it is not a mapping",
        ),
        ("config.yaml", "a: [1", "is not as this version writes it: while parsing"),
        (
            "config.yaml",
            "a: !!python/object/apply:os.getcwd []",
            "this version writes it: could not determine",
        ),
        ("config.yaml", "images: ${oc.env:HOME}", "cannot be read: seed is not given"),
        ("config.yaml", "seed: 0", "cannot be read: images is not given"),
        ("config.yaml", "observers", "observers=[]: configurations by their names"),
        ("config.yaml", "more_metrics", "more_metrics=[]: configurations by their names"),
        ("identity.json", "plugins", "it names no plug-ins"),
        ("identity.json", "", "identity.json is damaged"),
        ("identity.json", "{}", "is not as this version writes it: it names no choices"),
        ("units/copy.parquet", "", "units/copy.parquet: not the name of a unit"),
    ],
)
def test_a_folder_that_is_not_as_it_was_written_is_told_in_one_line(
    copy: Path, file: str, content: str, words: str
) -> None:
    path = copy / "run" / file
    if content in ("observers", "more_metrics", "plugins"):  # a list where names stand
        whole = yaml.safe_load(path.read_text())
        content = json.dumps(whole | {content: []})
    path.write_text(content)
    done = ask(copy, "status", "run", code=1)
    assert words in done.stderr and done.stderr.count("\n") == 1


def test_what_is_asked_of_a_run_needs_no_launcher_and_no_weights(tmp_path: Path) -> None:
    """Under a launcher's variables, and where the weights have gone."""
    shutil.copy(asset("sit_cifar10.safetensors"), tmp_path / "w.safetensors")
    call(tmp_path, *TOY, "verifier=oracle_fid", "budget.points=[1,2]", "images=4", "logger=none", "hydra.run.dir=o")
    own = ("model.weights=w.safetensors", "algorithm=none", "budget.points=[2]", "images=2")
    call(tmp_path, *own, "logger=none", "hydra.run.dir=e")
    (tmp_path / "w.safetensors").unlink()
    launched = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
    for run in ("o", "e"):
        assert "complete" in ask(tmp_path, "status", run, **launched).stdout
        assert "nfe" in ask(tmp_path, "export", run, "as=png", **launched).stdout
    assert "w.safetensors: there is no such file" in ask(tmp_path, "verify", "e", code=1).stderr
    (tmp_path / "o/curve.csv").unlink()
    assert "noise-search report o` makes it again" in ask(tmp_path, "log", "o", code=1).stderr


@pytest.mark.parametrize("record", ["{}", '{"images": "x", "axis": "nfe"}', '{"images": 150', "[]"])
def test_a_run_json_that_is_no_record_is_told(copy: Path, record: str) -> None:
    shutil.copytree(copy / "run", copy / "other")
    (copy / "run/run.json").write_text(record)
    assert "all images are there; the same command makes the report" in ask(copy, "status", "run").stdout
    for arguments in ("report run other into=both", "log run", "select run verifier=brightness"):
        done = ask(copy, *arguments.split(), code=1)
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr


def test_a_stray_file_is_told_and_left_alone(copy: Path) -> None:
    stray = copy / "run/units/foo.parquet"
    stray.write_text("mine")
    assert "foo.parquet: not the name of a unit" in ask(copy, "verify", "run", code=1).stderr
    assert stray.read_text() == "mine"


def test_a_damaged_record_is_made_again(copy: Path) -> None:
    for content in ("{", '{"images": 150}'):  # damaged; of an earlier version
        (copy / "run/run.json").write_text(content)
        assert "the same command makes the report" in ask(copy, "status", "run").stdout
    call(copy, *TOY, "images=150", "logger=none", "hydra.run.dir=run")
    assert "complete" in ask(copy, "status", "run").stdout


def test_another_axis_draws_again(copy: Path) -> None:
    again = call(copy, *TOY, "images=150", "logger=none", "hydra.run.dir=run", "axis=nfe_paper")
    assert "searched and rendered 0 images" in again.stdout
    assert (
        "nothing to do" in call(copy, *TOY, "images=150", "logger=none", "hydra.run.dir=run", "axis=nfe_paper").stdout
    )


def test_verify_notices_images_that_its_settings_do_not_make(copy: Path) -> None:
    """Whole files, right footers, other pixels."""
    script = """
import sys
from pathlib import Path
from noise_search.storage.units import read_units, write_unit
import pyarrow.parquet as pq
folder = Path("run")
footer = pq.read_schema(folder / "units/00000000-00000063.parquet").metadata
footer = {k.decode(): v.decode() for k, v in footer.items() if k in (b"settings", b"weights", b"versions")}
rows = read_units(folder).to_pylist()
first = [row for row in rows if row["image_id"] < 64]
for row in first:
    row |= {"png": rows[-1]["png"], "digest": rows[-1]["digest"]}
write_unit(folder, first, footer)
"""
    subprocess.run([sys.executable, "-c", script], cwd=copy, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    said = ask(copy, "verify", "run", "images=150", code=1).stdout
    assert "pixels differ by up to" in said and "point 1:" in said


def test_a_report_is_made_again_from_units(copy: Path) -> None:
    before = numbers(copy / "run/curve.csv")
    for name in ("curve.csv", "report.html"):
        (copy / "run" / name).unlink()
    seconds = json.loads((copy / "run/run.json").read_text())["seconds"]
    ask(copy, "report", "run")
    again = json.loads((copy / "run/run.json").read_text())["seconds"]
    assert sum(seconds.values()) > seconds["evaluate"] and seconds | {"evaluate": 0} == again | {"evaluate": 0}
    assert numbers(copy / "run/curve.csv") == before and (copy / "run/report.html").stat().st_size > 10_000
    (copy / "run/units/00000064-00000127.parquet").unlink()
    assert "incomplete: image ids 64-127 are missing" in ask(copy, "report", "run", code=1).stderr


def test_several_runs_make_one_curve(copy: Path) -> None:
    call(copy, *TOY, "images=150", "logger=none", "hydra.run.dir=zo", "algorithm=zo", "budget.points=[0,1,2]")
    ask(copy, "report", "run", "zo", "into=both")
    assert {line.split(",")[0] for line in (copy / "both/curve.csv").read_text().splitlines()[1:]} == {"random", "zo"}
    assert (copy / "both/figures/score_final.png").stat().st_size > 1000
    assert "into=FOLDER" in ask(copy, "report", "run", "zo", code=1).stderr


def test_a_run_is_kept_without_its_pictures(copy: Path) -> None:
    ask(copy, "export", "run", "as=scores", "into=kept")
    there, here = (read_units(copy / name).to_pylist() for name in ("run", "kept"))
    large = {"png", "features", "features_search", "sheet"}
    assert len(here) == 450 and all(row[name] is None for row in here for name in large)
    assert [{k: v for k, v in row.items() if k not in large} for row in here] == [
        {k: v for k, v in row.items() if k not in large} for row in there
    ]
    assert numbers(copy / "kept/curve.csv") == numbers(copy / "run/curve.csv")
    size = sum(sum(path.stat().st_size for path in (copy / name / "units").iterdir()) for name in ("kept", "run"))
    assert (copy / "kept/units/00000000-00000149.parquet").stat().st_size < 0.5 * size
    assert "figure=14: none of these runs" in ask(copy, "figures", "kept", "figure=14", "into=x", code=1).stderr
    assert "into=FOLDER, and all points" in ask(copy, "export", "run", "as=scores", code=1).stderr


def test_images_are_exported_for_evaluators(copy: Path) -> None:
    said = ask(copy, "export", "run", "as=npz").stdout.split()
    folders = ask(copy, "export", "run", "as=png").stdout.split()
    assert len(said) == len(folders) == 3
    last = read_units(copy / "run", ["image_id", "point", "digest"], point=4)["digest"].to_pylist()
    images = np.load(copy / said[-1])["arr_0"]
    assert images.dtype == np.uint8 and images.shape[0] == 150
    for i, digest in enumerate(last):
        png = np.asarray(Image.open(copy / folders[-1] / f"{i:06d}.png"))
        assert np.array_equal(png, images[i]) and hashlib.sha256(png.tobytes()).hexdigest().startswith(digest)
    call(copy, *TOY, "images=100", "logger=none", "hydra.run.dir=run")
    ask(copy, "export", "run", "as=png")
    assert len(list((copy / folders[-1]).iterdir())) == 100
    assert "as=gif: one of npz, png" in ask(copy, "export", "run", "as=gif", code=1).stderr


def test_a_run_is_logged_from_the_disk(copy: Path) -> None:
    ask(copy, "log", "run", "project=later", WANDB_MODE="offline")
    history = logged(copy / "run", "nfe")
    assert [row["score_final"] for row in history] == pytest.approx(values(copy / "run", "score_final"))
    assert "the results are in" in ask(copy, "log", "run", WANDB_MODE="nonsense", code=1).stderr


def test_doctor_lists_what_is_here(tmp_path: Path) -> None:
    said = ask(tmp_path, "doctor", NOISE_SEARCH_CACHE=str(tmp_path / "cache")).stdout
    assert "sit_cifar10.safetensors" in said and "torch " in said and "weights: " in said and "(nothing)" in said


def test_prefetch_loads_what_a_configuration_needs(tmp_path: Path) -> None:
    said = ask(tmp_path, "prefetch", "verifier=classifier", HF_HUB_OFFLINE="1").stdout
    assert "sit_cifar10.safetensors  47188d7c" in said and "efficientnet-lite0" in said
    offline = ask(tmp_path, "prefetch", "verifier=dino", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path), code=1)
    assert "verifier.backbone_file" in offline.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["nonsense"],
            "nonsense: the commands are status, verify, report, compare, view, figures, export, import, log, select,"
            " submit, calibrate, doctor, prefetch",
        ),
        (["status"], "usage: noise-search status RUN"),
        (["verify", "run", "images=x"], "usage: noise-search verify RUN"),
        (["select", "run"], "usage: noise-search select RUN verifier=NAME"),
        (["status", "nowhere"], "nowhere: not the folder of a run"),
        (["log", "nowhere"], "nowhere: not the folder of a run"),
    ],
)
def test_wrong_use_is_told_in_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = ask(tmp_path, *arguments, code=1)
    assert words in done.stderr and done.stderr.count("\n") == 1
