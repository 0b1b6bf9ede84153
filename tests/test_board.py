"""Rows of the leaderboard: their schema, and runs that are submitted once they were made again."""

import dataclasses
import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from noise_search.cli.submit import submit
from noise_search.configuration.compose import composed, own_hydra
from noise_search.errors import Refused
from noise_search.measures.board import Row, added, read_rows, write_rows
from noise_search.run import submit as submitting
from noise_search.run.execute import run_job
from noise_search.storage.run_folder import unit_paths

ASKED = ("experiment=toy", "images=4", "seed=3", "algorithm=zo", "algorithm.similarity=0.8", "budget.points=[0,2]")
ROW = Row(
    model="toy",
    dataset="mixture",
    method="zo",
    verifier="likelihood",
    unit="nfe",
    budget=60.0,
    cost=50.0,
    point=1,
    metric="score",
    network="likelihood",
    better="higher",
    value=1.5,
    ci_low=1.0,
    ci_high=2.0,
    difference=None,
    diff_low=None,
    diff_high=None,
    images=4,
    seeds=(0, 1),
    device="",
    weights={"a.safetensors": "0" * 64},
    commit="abc",
    command="noise-search",
    origin="board",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    with own_hydra():
        run_job(*composed([*ASKED, "draw_figures=false", "logger=none"]), folder)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(submitting, "commit", lambda: "abc")  # whatever is not committed here while tests are run
    return Path(shutil.copytree(made, tmp_path / "run"))


def test_a_finished_run_becomes_rows(run: Path, tmp_path: Path) -> None:
    with own_hydra():
        assert submit(run, tmp_path / "board.jsonl", 2) == 0
        rows = read_rows(tmp_path / "board.jsonl")
        scores = [row for row in rows if row.metric == "score_final" and row.unit == "nfe"]
        assert [(row.budget, row.cost, row.point) for row in scores] == [(20, 20, 0), (70, 70, 2)]
        assert scores[1].value > scores[0].value and scores[0].seeds == (3,) and scores[0].images == 4
        assert {row.unit for row in rows} == {"nfe", "gflops", "seconds"}
        assert not {row.metric for row in rows} & {
            "score",
            "score_final_gain",
            "frechet_distance",
        }  # FD: of four images
        command = rows[0].command
        assert "algorithm.similarity=0.8" in command and "seed=3" in command and "images=4" in command
        run_job(*composed([*command.split()[1:], "logger=none"]), tmp_path / "again")
        assert submitting.rows_of(tmp_path / "again", composed)[0].value == rows[0].value
        with pytest.raises(Refused, match="has it already: zo with likelihood, nfe=20"):
            submit(run, tmp_path / "board.jsonl", 2)
    assert len(read_rows(tmp_path / "board.jsonl")) == len(rows)


@pytest.mark.parametrize("column", ["digest", "scores_final"])
def test_a_run_that_comes_out_otherwise_is_not_submitted(run: Path, tmp_path: Path, column: str) -> None:
    (path,) = unit_paths(run)
    table = pq.read_table(path)
    rows = table.to_pylist()
    for row in rows:
        if column == "digest":  # pixels too: a digest alone may be of another library's rounding
            row |= {"digest": "0" * 64, "png": rows[0]["png"]}
        else:
            row["scores_final"] = [score + 0.1 for score in row["scores_final"]]
    changed = pa.Table.from_pylist(rows, schema=table.schema)
    pq.write_table(changed, path, write_page_checksum=True)
    with own_hydra(), pytest.raises(Refused, match="not submitted"):
        submit(run, tmp_path / "board.jsonl", 4)
    assert not (tmp_path / "board.jsonl").exists()


def test_what_cannot_be_submitted_is_told(run: Path, tmp_path: Path) -> None:
    with own_hydra():
        with pytest.raises(Refused, match="at least one is made again"):
            submit(run, tmp_path / "board.jsonl", 0)
        with pytest.raises(Refused, match="not a finished run"):
            submit(tmp_path / "nowhere", tmp_path / "board.jsonl", 2)
        (run / "run.json").unlink()
        with pytest.raises(Refused, match="not a finished run"):
            submit(run, tmp_path / "board.jsonl", 2)


def test_rows_go_round(tmp_path: Path) -> None:
    write_rows(tmp_path / "board.jsonl", [ROW])
    assert read_rows(tmp_path / "board.jsonl") == [ROW] and read_rows(tmp_path / "nothing") == []
    other = dataclasses.replace(ROW, budget=70.0)
    assert added([ROW], [other], tmp_path) == [ROW, other]
    with pytest.raises(Refused, match="has it already"):
        added([ROW], [dataclasses.replace(ROW, value=2.0)], tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": 2}, "schema=2: 1"),
        ({"unit": "dollars"}, "unit='dollars': one of nfe, gflops, seconds"),
        ({"cost": 61.0}, "cost=61.0: from 0 to the budget, 60"),
        ({"value": float("nan")}, "value=nan: a finite number"),
        ({"seeds": []}, "seeds=.*: whole numbers, at least one"),
        ({"better": ""}, "better='': higher or lower"),
        ({"weights": ["a"]}, "weights=.*: sha256 by name of file"),
        ({"images": 0}, "images=0: a whole number, at least 1"),
        ({"colour": "red"}, "here is {'colour'}"),
    ],
)
def test_a_line_that_is_no_row_is_refused(tmp_path: Path, change: dict[str, object], words: str) -> None:
    path = tmp_path / "board.jsonl"
    path.write_text(json.dumps(dataclasses.asdict(ROW) | change) + "\n")
    with pytest.raises(Refused, match=f"line 1: .*{words}"):
        read_rows(path)
    path.write_text("{\n")
    with pytest.raises(Refused, match="line 1"):
        read_rows(path)
