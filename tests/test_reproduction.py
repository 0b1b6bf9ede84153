"""docs/reproduction.md: every number again from the kept scores, the picks made again, and nothing of other weights."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from noise_search.api import render
from noise_search.assets import FOLDER
from noise_search.core.gather import ranks
from noise_search.measures.metric import mean_of
from noise_search.measures.paired import Difference
from noise_search.report.matrix import banks
from noise_search.report.paper_figures import paper_figure
from noise_search.storage.atomic import sha256
from noise_search.storage.curve_csv import numbers
from noise_search.storage.run_folder import finished_record, identity_of
from noise_search.storage.units import read_units
from scripts.reproduction_claims import SECTIONS, Claim, Place
from scripts.reproduction_jobs import JOBS, NAMES, upto
from scripts.reproduction_kept import Kept, Number, mean_over_seeds, over_seeds
from scripts.reproduction_page import KEPT, line, page, verdict

DOCS = Path(__file__).parents[1] / "docs"
FOLDERS = sorted(path for path in (DOCS / "reproduction/runs").iterdir())
MEMBERS = {"scenes_ensemble": ("scenes_clip", "scenes_aesthetic")}


@pytest.fixture(scope="module")
def kept() -> Kept:
    return Kept(DOCS / "reproduction/runs")


def test_the_page_is_what_the_kept_runs_give(kept: Kept) -> None:
    assert (DOCS / "reproduction.md").read_text() == page(
        kept, (DOCS / "reproduction/made.txt").read_text(), DOCS / "reproduction"
    )
    assert Path("docs/reproduction/runs") == KEPT and len(kept.runs) == len(FOLDERS) > 5


@pytest.mark.parametrize("run", FOLDERS, ids=lambda run: run.name)
def test_scores_and_measures_are_those_of_the_kept_images(run: Path) -> None:
    """Every mean over images in curve.csv, with its interval; numbers of sets need features, and are as stored."""
    rows, record = numbers(run / "curve.csv"), finished_record(run)
    found: dict[tuple[int, str], dict[str, str]] = {(int(row["point"]), row["metric"]): row for row in rows}
    names = [n for n in dict.fromkeys(n for _, n in found) if n == "score_final" or n.startswith("score_final/")]
    checked = 0
    for point in sorted({point for point, _ in found}):
        table = read_units(run, ["image_id", "point", "scores_final", "measures"], point=point)
        assert len(table) == record["images"]
        finals = np.array(table["scores_final"].to_pylist(), np.float64)
        for v, name in enumerate(names):
            row = found[point, name]
            if not row["value"]:  # not scored
                continue
            value = mean_of(finals[:, v])
            told = [float(row[key] or "nan") for key in ("value", "ci_low", "ci_high")]
            assert told == pytest.approx([value.value, value.low, value.high], rel=1e-5, nan_ok=True), (name, point)
            checked += 1
    whole_set = record["choices"]["verifier"] == "oracle_fid"  # it gives no image a score of its own
    assert checked == 0 if whole_set else checked >= len({point for point, _ in found})


@pytest.mark.parametrize("run", FOLDERS, ids=lambda run: run.name)
def test_picks_are_the_best_of_the_bank(run: Path) -> None:
    """Of random searches: their own bank, or that of the run which they read again."""
    record = finished_record(run)
    if record["choices"]["algorithm"] != "random" or not record["columns"]:
        return
    source = run.with_name(identity_of(run).get("source", {}).get("run", run.name))
    columns = finished_record(source)["columns"]
    bank = torch.from_numpy(banks(read_units(source, ["image_id", "bank"]), len(columns)))
    verifier = record["choices"]["verifier"]
    among = [bank[..., columns.index(name)] for name in MEMBERS.get(verifier, (verifier,))]
    table = read_units(run, ["image_id", "point", "candidate"])
    points = table["point"].to_numpy()
    for n in sorted(set(points.tolist())):
        if len(among) == 1:
            best = among[0][:, :n].argmax(1)
        else:
            best = torch.stack([ranks(scores[:, :n]).double() for scores in among]).sum(0).argmax(1)
        assert best.tolist() == table["candidate"].to_numpy()[points == n].tolist(), n


@pytest.mark.parametrize("run", FOLDERS, ids=lambda run: run.name)
def test_no_kept_run_is_of_other_weights(run: Path) -> None:
    """Better weights get a new name, and the runs of the old ones are made again."""
    stale = stale_weights(identity_of(run)["weights"])
    assert not stale, f"{run.name} was made with other weights: {stale}"


def test_no_kept_run_tells_a_path_of_a_machine() -> None:
    told = [path for run in FOLDERS for path in run.iterdir() if path.suffix in (".json", ".yaml", ".csv")]
    assert len(told) >= 4 * len(FOLDERS)
    assert not [path for path in told if re.search(r"[\"' ]/\w", path.read_text())]


def stale_weights(weights: dict[str, str]) -> list[str]:
    """Those of the shipped files whose content is another. Fails where none is shipped: then nothing was checked."""
    shipped = {name: digest for name, digest in weights.items() if (FOLDER / name).is_file()}
    assert shipped
    return [name for name, digest in shipped.items() if sha256(FOLDER / name) != digest]


def test_a_stale_run_is_found() -> None:
    assert stale_weights({"sit_cifar10.safetensors": "0" * 64, "elsewhere.pth": ""}) == ["sit_cifar10.safetensors"]


def test_twenty_picks_are_rendered_again() -> None:
    """Of the bank, those whose pictures are kept: to within rounding."""
    rows = [row for row in read_units(DOCS / "reproduction/runs/bank-s0").to_pylist() if row["png"] is not None][:20]
    assert len(rows) == 20
    addresses = [[row["image_id"], row["candidate"]] for row in rows]
    made = render("sit_cifar10", [row["condition"] for row in rows], addresses, final_nfe=20, device="cpu")
    for image, row in zip(made, rows, strict=True):
        stored = np.asarray(Image.open(io.BytesIO(row["png"])), np.int64)
        assert np.abs(np.asarray(image, np.int64) - stored).max() <= 8


def test_a_figure_is_the_same_file_every_time(tmp_path: Path, kept: Kept) -> None:
    runs = list(kept.runs.values())
    first, second = (paper_figure("6", runs, tmp_path / name, forms=("svg",)).read_bytes() for name in "ab")
    assert first == second and len(first) > 20_000
    assert [path.suffix for path in (tmp_path / "a").iterdir()] == [".svg"]


@pytest.mark.parametrize(
    ("b", "words"),
    [
        ((3.0, 2.5, 3.5), "agrees"),
        ((1.5, 1.2, 2.1), "not told apart"),
        ((0.5, 0.2, 0.8), "**the reverse**"),
        ((3.0, float("nan"), float("nan")), "no interval (too few images)"),
    ],
)
def test_verdicts_are_by_intervals(b: tuple[float, float, float], words: str) -> None:
    assert verdict(Number(20, 1, 1.5, 1.0, 2.0), Number(40, 2, *b), None, "higher") == words


@pytest.mark.parametrize(("low", "words"), [(0.1, "agrees"), (-0.1, "not told apart"), (-0.9, "**the reverse**")])
def test_what_is_known_image_by_image_decides(low: float, words: str) -> None:
    """The runs' own intervals overlap."""
    a, b = Number(20, 1, 1.5, 1.0, 2.0), Number(40, 2, 1.6, 1.1, 2.1)
    assert verdict(a, b, Difference(low + 0.2, low, low + 0.4, 100), "higher") == words


def test_paired_differences_are_those_of_the_means(kept: Kept) -> None:
    """Of every claim; those about numbers of sets go by seeds, and one seed has none."""
    for claim in (claim for section in SECTIONS for claim in section.claims):
        held = kept.held(claim)
        assert held is not None, claim
        of_set = claim.metric in ("kernel_distance", "inception_score", "precision", "recall")
        assert (held.apart is None) == (of_set and len(held.seeds) == 1), claim
        if held.apart is not None and held.apart.ci_low is not None and held.apart.ci_high is not None:
            assert held.apart.difference == pytest.approx(held.b.value - held.a.value, abs=1e-5), claim
            assert held.apart.images == len(held.seeds) * (1 if of_set else 100)
            assert held.apart.ci_low <= held.apart.difference <= held.apart.ci_high


def test_seeds_are_put_together() -> None:
    """Means; intervals over images shrink with the seeds, and a difference has one over seeds."""
    one, two = Number(40, 2, 1.0, 0.7, 1.3), Number(40, 2, 2.0, 1.6, 2.4)
    assert mean_over_seeds([one, two]) == pytest.approx((40, 2, 1.5, 1.25, 1.75))
    assert mean_over_seeds([one]) == pytest.approx(one)
    apart = over_seeds([0.1, 0.2, 0.3])
    assert apart is not None and apart[:4] == pytest.approx((0.2, -0.0484138, 0.4484138, 3), abs=1e-6)
    assert over_seeds([0.1]) is None


def test_what_was_not_run_has_no_line(kept: Kept) -> None:
    claim = Claim("words", "inception_score", Place("nowhere", "first"), Place("nowhere"), "higher")
    assert line(claim, kept) == []


def test_claims_are_of_runs_that_there_are() -> None:
    """A name that is misspelt would be "not run" for ever."""
    known = {(job.name, verifier) for job in JOBS for verifier in ("", *job.read)}
    for claim in (claim for section in SECTIONS for claim in section.claims):
        for place in (claim.a, claim.b):
            assert (place.run, place.verifier) in known, place


def test_jobs_are_cut_by_their_cost() -> None:
    assert len(NAMES) == len(JOBS)
    assert upto((1, 2, 4, 8, 16), 80 / 10) == (1, 2, 4, 8) and upto((0, 1, 2), 80 / 180) == (0, 1)
