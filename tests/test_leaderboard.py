"""docs/leaderboard.md is what the committed scores give, of the weights that are shipped."""

import json
from pathlib import Path

import numpy as np
import pytest

from noise_search.assets import FOLDER
from noise_search.configuration.compose import composed, own_hydra
from noise_search.errors import Refused
from noise_search.measures.board import UNITS, Row, read_rows
from noise_search.run.description import describe
from noise_search.storage.atomic import sha256
from scripts.leaderboard_jobs import BOARDS, CLASSES, METHODS, Board, Method, settings_of
from scripts.leaderboard_page import main as make_page
from scripts.leaderboard_rows import dearest, distance, of_images, seconds

BOARD = Path(__file__).parents[1] / "docs/leaderboard"
NO_GRADIENT = {("first_order", "oracle_is"), ("dno", "oracle_is")}
FULL = ("toy", "sit_cifar10_small", "scenes")  # of which ten searches and more were run


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return read_rows(BOARD / "leaderboard.jsonl")


def test_the_page_is_what_the_scores_give(tmp_path: Path) -> None:
    """All numbers: rows, page and table, to the letter."""
    make_page([f"from={BOARD}", f"into={tmp_path}"])
    for name in ("leaderboard.md", "leaderboard/leaderboard.jsonl", "leaderboard/table.html"):
        assert (tmp_path / name).read_text() == (BOARD.parent / name).read_text(), name


def test_no_row_is_of_other_weights(rows: list[Row]) -> None:
    """Better weights get a new name, and the runs of the old ones are made again."""
    weights = {(name, digest) for row in rows for name, digest in row.weights.items() if (FOLDER / name).is_file()}
    assert weights
    assert not stale(weights), "made with other weights: the leaderboard's runs are to be made again"
    assert stale({("sit_cifar10.safetensors", "0" * 64)}) == ["sit_cifar10.safetensors"]


def stale(weights: set[tuple[str, str]]) -> list[str]:
    return [name for name, digest in weights if sha256(FOLDER / name) != digest]


def test_it_is_as_large_as_was_promised(rows: list[Row]) -> None:
    """Ten searches and more, all verifiers, five budgets in each unit, three seeds; small files, no pictures."""
    for model in FULL:
        own = [row for row in rows if row.model == model]
        for verifier in BOARDS[next(name for name, b in BOARDS.items() if b.model == model)].verifiers:
            of_one = [row for row in own if row.verifier == verifier]
            assert len({row.method for row in of_one} - {"none"}) >= 10, (model, verifier)
            for unit in UNITS:
                assert len({row.budget for row in of_one if row.unit == unit}) == 5
        assert {row.seeds for row in own} == {(0, 1, 2)}
    assert sum(path.stat().st_size for path in BOARD.rglob("*") if path.is_file()) < 10e6


def test_nobody_spends_more_than_the_budget_and_random_search_all_of_it(rows: list[Row]) -> None:
    board = [row for row in rows if row.origin == "board"]
    assert all(row.cost == row.budget for row in board if row.method == "random")
    assert all(row.difference is not None for row in board if row.method != "random")
    assert len({row.key for row in rows}) == len(rows)


def test_settings_were_chosen_elsewhere_for_as_much() -> None:
    assert not set(CLASSES["board"]) & set(CLASSES["tuning"])
    for path in (BOARD / "scores").rglob("*.json"):
        kept = json.loads(path.read_text())
        if "refused" in kept:  # because it cannot be, not because something else went wrong
            assert refused(kept["method"], kept["verifier"]), path
            continue
        tried = kept["tuning"]["tried"]
        assert len(tried) in (0, 3) and "seed=" not in kept["command"], path
        if tried:
            assert kept["tuning"]["chosen"] == max(tried, key=lambda one: one["score"])["setting"], path


def refused(method: str, verifier: str) -> bool:
    """Drafts that a model may not have, gradients that a verifier has not."""
    return method.endswith("drafts") or (method, verifier) in NO_GRADIENT


@pytest.mark.parametrize("board", BOARDS.values(), ids=BOARDS)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.file)
def test_every_run_of_the_protocol_can_be_planned(board: Board, method: Method) -> None:
    """Or is refused, drafts and gradients that are not to be had; at most eight settings each."""
    size = board.sizes["protocol"]
    with own_hydra():
        for verifier in board.verifiers:
            settings = settings_of(method, verifier)
            assert 1 <= len(settings) <= 8
            asked = [*board.options, f"verifier={verifier}", *method.options, *settings[-1], *size.options]
            asked += [f"budget.default_nfe={list(size.nfe)}".replace(" ", "")]
            try:
                plan = describe(*composed(asked)).plan
            except Refused:
                if not refused(method.name, verifier):
                    raise
            else:
                assert plan.purchases[-1].nfe <= size.nfe[-1]


def test_numbers_by_hand() -> None:
    value, low, high, difference, *ends = of_images((1.0, 2.0, 3.0, 4.0), (0.0, 1.0, 2.0, 3.0))
    assert (value, difference, ends) == (2.5, 1.0, [1.0, 1.0])
    assert high - value == pytest.approx(value - low) == pytest.approx(1.96 * np.std([1, 2, 3, 4], ddof=1) / 2)
    left = [0.5 + 0.01 * k for k in range(10)]
    assert distance([0.5, *left], [0.3, *(x - 0.2 for x in left)])[3:] == pytest.approx((0.2, 0.2, 0.2))
    points = [{"cost": {"nfe": float(nfe)}} for nfe in (20, 40, 60)]
    assert dearest(points, "nfe", 59.9) is points[1] and dearest(points, "nfe", 19) is None
    rates = {"row": 2.0, "decode": 3.0, "verify": {"v": 5.0}}
    cost = {"gflops": 40.0, "scored": 2.0, "differentiated": 1.0, "finished": 1}
    assert seconds(cost, rates, "v", 4.0) == 10 * 2 + (2 + 2) * 8 + 3
