"""A metric is one file and one YAML: from there to the curve, floors, figures, report and the combined curve."""

import csv
import dataclasses
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from noise_search.measures.judge import Judge, JudgeSettings, load_judge
from noise_search.measures.metric import Metric, Value, measures_of, once
from noise_search.metrics.pixels import Pixels
from noise_search.report import combined
from noise_search.report.figures import save
from noise_search.report.images import chosen_images
from noise_search.run.assemble import try_out
from noise_search.storage.units import read_units
from tests.test_commands import ask
from tests.test_run import TOY, call, curve
from tests.test_workers import toy_parts

RUN = (*TOY, "images=70", "logger=none")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two runs, `plain` and `more`, the second with a further metric."""
    folder = tmp_path_factory.mktemp("home")
    call(folder, *RUN, "hydra.run.dir=plain")
    call(folder, *RUN, "more_metrics=[contrast]", "observers=[brightness]", "hydra.run.dir=more", figures=True)
    return folder


def test_a_further_metric_is_told_at_every_budget_and_of_real_images(home: Path) -> None:
    rows = {int(row["point"]): row for row in curve(home / "more") if row["metric"] == "contrast"}
    table = read_units(home / "more")
    for point in (1, 2, 4):
        expected = chosen_images(table, point).reshape(70, -1).std(1)
        assert float(rows[point]["value"]) == pytest.approx(expected.mean(), rel=1e-6)
        half = 1.96 * expected.std(ddof=1) / 70**0.5
        assert float(rows[point]["ci_high"]) - float(rows[point]["value"]) == pytest.approx(half, rel=1e-5)
        assert rows[point]["network"] == "pixels" and rows[point]["n_images"] == "70"
    with (home / "more/floors.csv").open() as file:
        assert {row["kind"] for row in csv.DictReader(file) if row["metric"] == "contrast"} == {"real"}
    for suffix in ("png", "pdf"):
        assert (home / f"more/figures/contrast.{suffix}").stat().st_size > 1000
    report = (home / "more/report.html").read_text()
    assert "contrast: deviation of an image&#x27;s pixel values" in report and "lower" in report


def test_it_changes_no_other_number(home: Path) -> None:
    def of_judge(folder: Path) -> list[tuple]:
        return [(row["metric"], row["point"], row["value"]) for row in curve(folder) if row["metric"] in names]

    names = {metric.name for metric in Pixels().load().metrics}
    assert len(names) == 6 and of_judge(home / "plain") == of_judge(home / "more")


def test_it_comes_along_when_a_bank_is_read_again(home: Path) -> None:
    ask(home, "select", "more", "verifier=brightness", "into=again")
    said = [float(row["value"]) for row in curve(home / "again") if row["metric"] == "contrast"]
    images = read_units(home / "again")
    expected = [chosen_images(images, point).reshape(70, -1).std(1).mean() for point in (1, 2, 4)]
    assert said == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("known", [True, False])
def test_the_combined_curve_takes_title_and_direction_from_the_runs(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    """And draws a metric that no run describes under its own name."""
    told = json.loads((home / "more/run.json").read_text())["metrics"]
    assert told["contrast"]["better"] == "higher" and told["frechet_distance"]["biased"]
    titles, series = {}, {}

    def record(figure: Figure, folder: Path, name: str) -> None:
        titles[name] = figure.axes[0].get_title()
        series[name] = figure.axes[0].get_legend_handles_labels()[1]
        save(figure, folder, name)

    monkeypatch.setattr(combined, "save", record)
    if not known:
        monkeypatch.setattr(combined, "metrics_of", lambda folders: {})
    combined.combine_runs([home / "plain", home / "more"], tmp_path)
    assert series["precision"] == ["observers=none, more_metrics=none", "observers=brightness, more_metrics=contrast"]
    assert {"score_final", "score_final/brightness", "precision", "contrast"} <= set(titles)
    assert (tmp_path / "figures/contrast.png").stat().st_size > 1000
    assert titles["contrast"] == f"{told['contrast']['title']} (higher is better)" if known else "contrast"
    assert titles["frechet_distance"] == "Frechet distance (lower is better)" if known else "frechet_distance"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("[hope]", "more_metrics=['hope']: Could not find 'metric/hope'"),
        ("contrast", "more_metrics=contrast: a list of metrics, each once"),
        ("[contrast,contrast]", "more_metrics=['contrast', 'contrast']: a list of metrics, each once"),
    ],
)
def test_an_unknown_metric_is_refused_before_the_search(tmp_path: Path, more: str, words: str) -> None:
    done = call(tmp_path, *RUN, f"more_metrics={more}", code=1)
    assert words in done.stderr and done.stderr.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def flat(images: np.ndarray, index: np.ndarray) -> np.ndarray:
    return np.zeros((len(images), 2))


def test_a_metric_that_does_not_fit_is_refused_before_the_search() -> None:
    parts = toy_parts()
    wrong = {
        "made numbers": Metric("own", "own", "own", "higher", of_images=flat),
        "no finite number": Metric("own", "own", "own", "higher", of_images=lambda x, _: np.full(len(x), np.nan)),
    }
    for words, metric in wrong.items():
        with pytest.raises(ValueError, match=rf"^metric own.*{words}"):
            try_out(dataclasses.replace(parts, judge=parts.judge.with_metrics([metric])))
    buggy = Metric("own", "own", "own", "lower", of_set=lambda f, _: Value(f[0, 9999]))
    with pytest.raises(IndexError) as caught:  # a bug is no misfit: it keeps its traceback, and says whose it is
        try_out(dataclasses.replace(parts, judge=parts.judge.with_metrics([buggy])))
    assert caught.value.__notes__ == ["metric own, trying two blank images of toy"]
    for metric, words in (
        (Metric("recall", "", "", "higher", of_images=flat), "recall is told already"),
        (Metric("score_final", "", "", "higher", of_images=flat), "score_final is told already"),
        (Metric("own", "", "", "higher"), "measures nothing"),
    ):
        with pytest.raises(ValueError, match=f"more_metrics: .*{words}"):
            parts.judge.with_metrics([metric])
    with pytest.raises(ValueError, match="better='more': higher or lower"):
        Metric("own", "own", "own", "more")


def test_metrics_of_images_are_columns_in_their_order() -> None:
    images = np.arange(2 * 3 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3, 3)
    metrics = [
        Metric("mean", "", "", "higher", of_images=lambda x, _: x.mean((1, 2, 3))),
        Metric("set", "", "", "higher", of_set=lambda f, _: Value()),
        Metric("class", "", "", "higher", of_images=lambda x, index: index),
    ]
    assert np.array_equal(measures_of(metrics, images, np.array([5, 7])), [[13, 5], [40, 7]])
    assert measures_of(metrics[1:2], images, np.array([5, 7])).shape == (2, 0)


def test_a_metric_of_texts_and_real_images_are_told_the_conditions_of_the_run() -> None:
    def length(images: np.ndarray, texts: Sequence[str]) -> np.ndarray:
        return np.array([len(text) for text in texts]) + images.mean((1, 2, 3))

    def showing(texts: Sequence[str]) -> Callable[[int], tuple[np.ndarray, np.ndarray] | None]:
        return lambda n: (np.full((n, 1, 1, 3), len(texts), np.uint8), np.arange(n) % len(texts))

    @dataclasses.dataclass(frozen=True)
    class Reading(JudgeSettings):
        def load(self, device: str) -> Judge:
            return dataclasses.replace(Pixels().load(device), metrics=(), showing=showing)

    metric = Metric("length", "", "", "higher", of_texts=length)
    blank = np.zeros((3, 1, 1, 3), np.uint8)
    judge = load_judge(Reading(), "cpu", ["a", "bcd"], [metric])
    assert measures_of(judge.metrics, blank, np.array([1, 0, 1])).T.tolist() == [[3, 1, 3]]
    heldout = judge.heldout(2)
    assert heldout is not None and heldout[0].shape == (2, 1, 1, 3) and heldout[0].max() == 2
    with pytest.raises(AssertionError, match="length was not told the texts"):
        measures_of([metric], blank, np.array([0, 0, 0]))
    with pytest.raises(ValueError, match="of_set, of_images or of_texts, one of them"):
        Metric("both", "", "", "higher", of_images=flat, of_texts=length)


def test_what_metrics_share_is_computed_once_a_set_and_kept_no_longer() -> None:
    seen: list[float] = []

    @once
    def total(features: np.ndarray) -> float:
        seen.append(float(features.sum()))
        return seen[-1]

    a, b = np.ones(3), np.ones(4)
    assert [total(x) for x in (a, a, b, b, a)] == [3, 3, 4, 4, 3] and seen == [3, 4, 3]
    del a
    assert total(np.ones(3) * 2) == 6  # perhaps at the address of the first
