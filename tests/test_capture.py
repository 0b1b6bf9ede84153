"""What a draft keeps of a search's gain: the numbers, and the command that measures them."""

import json
from pathlib import Path

import numpy as np
import pytest

from noise_search.assets import FOLDER
from noise_search.cli.calibrate import command
from noise_search.configuration.compose import own_hydra
from noise_search.datasets.cifar10 import cifar10
from noise_search.errors import Refused
from noise_search.measures.capture import agreement, capture, rank_correlation, ranks
from noise_search.report.capture_page import frontier, page
from noise_search.run.capture import chosen, halves_of, numbers
from noise_search.storage.atomic import sha256

FULL = np.random.default_rng(0).normal(size=(400, 16))
RESULTS = Path(__file__).parents[1] / "docs/results/drafts"
ASKED = ("experiment=toy", "images=40", "candidates=4")


def test_the_share_of_the_gain_by_hand() -> None:
    full = np.array([[0.0, 1.0, 2.0, 5.0], [3.0, 1.0, 0.0, 0.0]])
    draft = np.array([[0.0, 9.0, 1.0, 8.0], [5.0, 5.0, 0.0, 0.0]])  # picks 1.0 of the first; of two, the earlier
    assert capture(full, draft, 4).value == pytest.approx(((1 - 2) + (3 - 1)) / ((5 - 2) + (3 - 1)))
    assert agreement(full, draft, 4).value == 0.5
    assert agreement(full, draft, 2).value == pytest.approx(1.0)  # 1 of (0, 1), 5 of (2, 5), 3 of (3, 1), 0 of (0, 0)


def test_its_ends_and_its_order() -> None:
    noise = np.random.default_rng(1).normal(size=FULL.shape)
    for n in (4, 16):
        assert capture(FULL, FULL, n) == (1, 1, 1)
        assert capture(FULL, np.exp(FULL), n).value == 1  # only ranks matter
        low, middle, high = (capture(FULL, FULL + share * noise, n) for share in (100.0, 2.0, 0.3))
        assert low.low < 0.05 < middle.low and middle.high < high.low
        assert low.low < 0 < low.high  # by chance: nothing
    assert capture(FULL, -FULL, 4).value < -0.9


def test_rank_correlation_is_spearmans() -> None:
    assert ranks(np.array([[3.0, 1.0, 1.0, 7.0]])).tolist() == [[2.0, 0.5, 0.5, 3.0]]
    assert rank_correlation(FULL, FULL).value == pytest.approx(1) and rank_correlation(
        FULL, -FULL
    ).value == pytest.approx(-1)
    a, b = np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[1.0, 3.0, 2.0, 4.0]])
    assert rank_correlation(a, b).value == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert rank_correlation(a, np.ones_like(a)).value == 0


def calibrated(into: Path, drafts: str, *more: str) -> dict:
    with own_hydra():
        command([*ASKED, *more, f"drafts={drafts}", f"into={into}"])
    return json.loads((into / "calibration.json").read_text())


def test_the_command_measures_chooses_and_goes_on(tmp_path: Path) -> None:
    drafts = "none; steps draft.nfe=2; early draft.steps=6 draft.time=0.5"
    found = calibrated(tmp_path, drafts)
    by_name = {row["draft"]: row for row in found["drafts"]}
    none, steps = by_name["none"], by_name["steps draft.nfe=2"]
    assert (none["nfe"], steps["nfe"], found["final_nfe"]) == (10, 2, 20)
    assert none["gflops"] / found["gflops"] == pytest.approx(10 / 20)
    assert steps["gflops"] / found["gflops"] == pytest.approx(2 / 20)
    assert none["reported"]["capture"]["4"][0] > 0.5 and none["seconds"] > 0
    assert {row["choosing"]["images"] + row["reported"]["images"] for row in found["drafts"]} == {40}
    good = [row for row in found["drafts"] if row["choosing"]["capture"]["4"][1] >= 0.9]
    cheapest = min(good, key=lambda row: row["gflops"])["draft"] if good else None
    assert found["chosen"] == cheapest
    assert "steps draft.nfe=2" in (tmp_path / "calibration.md").read_text()
    assert (tmp_path / "frontier.svg").read_text().startswith("<?xml")

    files = sorted((tmp_path / "scores").iterdir())
    before = {path: path.stat().st_mtime_ns for path in files}
    files[-1].write_bytes(files[-1].read_bytes()[:100])  # as after a crash of the disk: made again, the others are not
    again = calibrated(tmp_path, drafts)
    changed = [path for path in files if path.stat().st_mtime_ns != before[path]]
    assert changed == [files[-1]]
    assert [row["reported"] for row in again["drafts"]] == [row["reported"] for row in found["drafts"]]
    assert calibrated(tmp_path, drafts, "seed=1")["drafts"] != again["drafts"]  # another seed, other scores


COMMITTED = {"": 12, "guided": 6, "sixty_four": 5}  # calibrations in docs/results/drafts, and how many drafts each has


def stored(folder: Path, name: str) -> np.ndarray:
    with np.load(folder / "scores" / f"{name}.npz") as kept:
        return np.asarray(kept["scores"])


@pytest.mark.parametrize("name", COMMITTED)
def test_the_committed_calibrations_are_what_their_scores_give(name: str) -> None:
    """Every capture in docs/results/drafts, its choice and its page; and that they are of the shipped weights."""
    least, folder = COMMITTED[name], RESULTS / name
    kept = json.loads((folder / "calibration.json").read_text())
    halves = halves_of(cifar10().index(range(kept["images"])))
    full, sizes = stored(folder, "full"), [n for n in (4, 16, 64) if n <= kept["candidates"]]
    assert full.shape == (kept["images"], kept["candidates"]) and len(kept["drafts"]) >= least
    for row in kept["drafts"]:
        for half, mask in halves.items():
            again = numbers(full[mask], stored(folder, row["draft"])[mask], sizes)
            assert json.loads(json.dumps(again)) == row[half], (row["draft"], half)
    assert chosen(kept["drafts"], str(sizes[-1])) == kept["chosen"]
    assert (folder / "calibration.md").read_text().startswith(page(kept))
    for file, digest in kept["weights"].items():
        if (FOLDER / file).is_file():
            assert sha256(FOLDER / file) == digest, f"{file} has changed: calibrate again"
    assert "sit_cifar10.safetensors" in kept["weights"]
    assert ("sit_cifar10_small.safetensors" in kept["weights"]) == (name != "guided")  # a draft of the others


def test_no_cheaper_one_captures_more_than_one_on_the_frontier() -> None:
    rows = [
        {"gflops": cost, "reported": {"capture": {"4": [value, 0, 1]}}}
        for cost, value in ((3, 0.9), (1, 0.5), (2, 0.4), (2.5, 0.8), (4, 0.85))
    ]
    assert [row["gflops"] for row in frontier(rows, "gflops", "4")] == [1, 2.5, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("into=x", "candidates=4", "images=8"), "images=8 candidates=4: at least 20"),
        (("into=x", "candidates=2"), "candidates=2: at least 20 images, 4"),
        (("candidates=4",), "usage: noise-search calibrate"),
        (("into=x", "candidates=many"), "usage: noise-search calibrate"),
        (("into=x", "drafts=cfg"), "draft=cfg: no guidance has no null branch"),
        (("into=x", "drafts=cache"), "draft=cache: the blocks of toy are not known"),
        (("into=x", "drafts= ; "), "drafts"),
        (("into=x", "drafts=steps", "algorithm=smc"), "draft=steps: candidates of SMC"),
    ],
)
def test_what_cannot_be_measured_is_told(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    own = [word.replace("into=x", f"into={tmp_path / 'x'}") for word in arguments]
    with own_hydra(), pytest.raises(Refused, match=message):
        command(["experiment=toy", *own])
    assert not (tmp_path / "x").exists()
