"""Runs side by side: paired statistics against what is known, tables from hand-made rows, one real sweep."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from noise_search.errors import Refused
from noise_search.measures.paired import jackknifed, paired_bootstrap
from noise_search.report.comparison import dominance, escaped, lines_of, tables
from noise_search.run.compare import compare
from tests.test_run import TOY, call


def test_the_bootstrap_covers_a_known_difference_and_counts_wins() -> None:
    """95 % intervals of 200 sets of 60 images hold the true difference .3 about so often; shared parts cancel."""
    rng, held = np.random.default_rng(0), 0
    for seed in range(200):
        shared = rng.normal(size=60) * 10
        first, second = shared + 0.3 + 0.5 * rng.normal(size=60), shared + 0.5 * rng.normal(size=60)
        found = paired_bootstrap(first, second, "higher", seed)
        assert found.ci_low is not None and found.ci_high is not None
        held += found.ci_low <= 0.3 <= found.ci_high
    assert 180 <= held <= 198
    one = paired_bootstrap(np.array([3.0, 2.0, 1.0, 5.0]), np.array([1.0, 2.0, 2.0, 1.0]), "lower")
    assert (one.wins, one.ties, one.losses, one.images, one.difference) == (1, 1, 2, 4, 1.25)
    same = paired_bootstrap(np.ones(9), np.ones(9), "higher")
    assert same.p == 1 and (same.ci_low, same.ci_high) == (0, 0)


def test_p_values_are_uniform_where_nothing_differs() -> None:
    rng = np.random.default_rng(1)
    p = [paired_bootstrap(rng.normal(size=80), rng.normal(size=80), "", seed).p for seed in range(200)]
    assert 0.01 <= np.mean(np.array(p, np.float64) < 0.05) <= 0.11 and 0.4 < np.mean(np.array(p, np.float64)) < 0.6


def test_the_jackknife_of_a_mean_is_its_own_interval() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 1000))
    found = jackknifed(lambda rows: (float(a[rows].mean()), float(b[rows].mean())), 1000)
    assert found is not None and found.ci_low is not None and found.difference == pytest.approx(a.mean() - b.mean())
    groups = (a - b).reshape(10, 100).mean(1)
    half = 2.262157162798205 * groups.std(ddof=1) / 10**0.5
    assert found.difference - found.ci_low == pytest.approx(half)
    assert jackknifed(lambda rows: (0.0, 0.0), 99) is None


def rows(series: str, values: dict[int, float], seed: int = 0, step: int = 10) -> list[dict[str, str]]:
    return [
        {"series": series, "seed": str(seed), "metric": "m", "point": str(p), "nfe": str(step * p), "value": str(v)}
        for p, v in values.items()
    ]


def test_a_table_gives_every_series_the_dearest_point_within_the_budget() -> None:
    given = [*rows("a", {1: 1.0, 4: 2.0}), *rows("a", {1: 3.0, 4: 4.0}, seed=1), *rows("b", {2: 1.0, 9: 2.0})]
    (table,) = tables(given, "nfe")
    assert table.budgets == [10, 20, 40, 90]
    assert lines_of(table) == [
        ["a", "2 (1 to 3)", "2 (1 to 3)", "3 (2 to 4)", "3 (2 to 4)"],
        ["b", "", "1", "1", "2"],
    ]
    assert dominance(table, "higher") == [("a", "b")] and dominance(table, "lower") == [("b", "a")]
    assert dominance(table, "") == []
    assert escaped("50 % of a_b & {c}") == r"50 \% of a\_b \& \{c\}"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of random search and zero-order search with two seeds; and random search with other images."""
    folder = tmp_path_factory.mktemp("compare")
    options = (*TOY, "logger=none", "more_metrics=[contrast]", "images=100")
    for seed in (0, 1):
        call(folder, *options, f"seed={seed}", "algorithm=random", f"hydra.run.dir=random{seed}")
        call(folder, *options, f"seed={seed}", "algorithm=zo", "budget.points=[0,1,2]", f"hydra.run.dir=zo{seed}")
    return folder


def test_compare_leaves_tables_and_paired_differences(home: Path, tmp_path: Path) -> None:
    written = compare([home / name for name in ("random0", "random1", "zo0", "zo1")], tmp_path)
    assert all(path.stat().st_size > 100 for path in written) and not (tmp_path / "curve.csv").exists()
    with (tmp_path / "comparison.csv").open() as file:
        curve = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "comparison.parquet").to_pylist()
    assert [row["value"] for row in table] == [float(row["value"]) if row["value"] else None for row in curve]
    with (tmp_path / "paired.csv").open() as file:
        paired = {(row["metric"], row["nfe"]): row for row in csv.DictReader(file)}
    assert {name for name, _ in paired} >= {"score_final", "contrast", "kernel_distance", "inception_score"}
    assert "frechet_distance" not in {name for name, _ in paired}  # biased: its difference is no estimate
    for name in ("score_final", "contrast"):
        means = [
            [float(r["value"]) for r in curve if (r["metric"], r["algorithm"], r["nfe"]) == (name, which, nfe)]
            for which, nfe in (("random", "22"), ("zo", "26"))
        ]
        row = paired[name, "26"]
        assert float(row["difference"]) == pytest.approx(np.mean(means[0]) - np.mean(means[1]), rel=1e-4, abs=1e-6)
        assert int(row["images"]) == 200 == sum(int(row[k]) for k in ("wins", "ties", "losses")) and row["seeds"] == "2"
    first = paired["score_final", "6"]
    assert (first["difference"], first["ties"], first["p"]) == ("0.0", "200", "1.0")  # no search is no search
    text = (tmp_path / "comparison.md").read_text()
    for heading in ("## At equal NFE", "## At equal seconds", "## At equal GFLOPs", "## Paired differences"):
        assert heading in text
    assert "| random | " in text and (tmp_path / "comparison.tex").read_text().count("\\toprule") >= 10
    page = (tmp_path / "gallery.html").read_text()
    assert len(re.findall("; at [^<]*</summary>", page)) == text.count("\n### ") > 20  # the same tables
    for words in ("at equal NFE", "at equal seconds", "at equal GFLOPs", "at the largest budget of each pair"):
        assert f"; {words}</summary>" in page


def test_compare_refuses_what_does_not_compare(home: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused, match="at least two"):
        compare([home / "random0"], tmp_path)
    with pytest.raises(Refused, match="the same settings and seed"):
        compare([home / "random0", home / "random0"], tmp_path)
    record = json.loads((home / "zo0/run.json").read_text())
    (home / "zo0/run.json").write_text(json.dumps(record | {"choices": record["choices"] | {"metrics": "other"}}))
    with pytest.raises(Refused, match="judged by other, pixels"):
        compare([home / "random0", home / "zo0"], tmp_path)
    (home / "zo0/run.json").write_text(json.dumps(record))
