"""The paper's figures: which runs and published points belong to which panel, and that each can be drawn."""

import json
from pathlib import Path

import pytest

from noise_search.errors import Refused
from noise_search.report.figures import blank
from noise_search.report.paper import FIGURES
from noise_search.report.paper_axes import draw_ours, own_words, titled
from noise_search.report.paper_figures import notes, paper_figure
from noise_search.report.paper_panels import Bars, Gains, Panel, Scatter
from noise_search.report.paper_points import Line, bars_of, curves, gains_of, points_of
from noise_search.report.published import Point, published, published_table
from noise_search.storage.curve_csv import COLUMNS, write_csv


def finished(
    folder: Path, model: str, algorithm: str = "zo", verifier: str = "dino", seed: int = 0, **more: float
) -> Path:
    """The small files of a run of three points, whose value is its x."""
    settings = {"cfg_scale": more.get("cfg_scale", 1.0), "budget": {"search_nfe": more.get("search_nfe", 50)}}
    choices = {"model": model, "algorithm": algorithm, "verifier": verifier}
    record = {"images": 8, "axis": "nfe", "choices": choices, "metrics": {}, "columns": [verifier]}
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "identity.json").write_text(json.dumps({"settings": settings}))
    row = (
        dict.fromkeys(COLUMNS, "")
        | {"network": "Lite2", "reference": "CIFAR-10"}
        | {"n_images": more.get("n_images", 8), "seed": seed}
    )
    rows = [
        row | {"point": k, "nfe": nfe, "nfe_paper": nfe, "gflops": nfe, "metric": metric, "value": nfe + seed}
        for k, nfe in enumerate((250, 500, 1000))
        for metric in ("frechet_distance", "inception_score", "precision", "recall")
    ]
    write_csv(folder / "curve.csv", rows, COLUMNS)
    return folder


def test_every_published_point_is_drawn_in_one_panel() -> None:
    """607; of figures 8, 12 and 14 there are none."""
    drawn = 0
    for name, figure in FIGURES.items():
        points, found = published(name), list[Point]()
        line = Line([], [], points, True)
        for panel in figure.panels:
            if isinstance(panel, Panel):
                found += [point for curve in curves(panel, points, line).values() for point in curve]
            if isinstance(panel, Gains):
                found += [point for curve in gains_of(panel, points).values() for point in curve]
        assert sorted(map(str, found)) == sorted(map(str, points)), name
        drawn += len(found)
    assert drawn == 607


def test_bars_are_gains_over_no_search() -> None:
    """Figure 8 from table 2, as its experiment's header has it; table 1 has its scores themselves."""
    (panel,) = FIGURES["8"].panels
    assert isinstance(panel, Bars)
    bars = bars_of(panel, published_table("2"))
    assert list(bars) == ["Aesthetic", "CLIPScore", "ImageReward", "ensemble"]
    assert bars["ImageReward"]["ImageReward"] == [pytest.approx(62.9, abs=0.05)]
    assert bars["CLIPScore"]["Aesthetic"] == [pytest.approx(-1.9, abs=0.05)]
    (panel,) = FIGURES["table1"].panels
    assert isinstance(panel, Bars)
    scores = bars_of(panel, published_table("1"))
    assert len(scores) == 5 and scores["no search"]["color"] == [0.7692] and scores["ensemble"]["complex"] == [0.3754]


def test_gains_are_over_the_first_point_of_their_seed() -> None:
    (panel,) = FIGURES["9"].panels
    assert isinstance(panel, Gains)
    part = {"model": "scenes", "algorithm": "random", "verifier": "ensemble_text"}
    points = [
        Point(part, {}, "clipscore", {"nfe": nfe}, value, seed, 8, k, part | {"metric": "clip"})
        for seed, values in enumerate(((0.5, 0.6), (0.4, 0.5)))
        for k, (nfe, value) in enumerate(zip((20.0, 40.0), values, strict=True))
    ]
    assert [p.value for p in gains_of(panel, points)["clip"]] == pytest.approx([0, 20, 0, 25])


def test_runs_of_the_papers_own_models_lie_over_its_points_and_others_below(tmp_path: Path) -> None:
    own = [finished(tmp_path / f"own{seed}", "sit_xl_2", seed=seed) for seed in (0, 1)]
    twin = finished(tmp_path / "twin", "sit_cifar10", "zo_4", "classifier", search_nfe=10)
    (panel, *_) = FIGURES["6"].panels
    assert isinstance(panel, Panel)
    ours = [point for folder in own for point in points_of(folder)]
    found = curves(panel, ours, Line(own, ours, published("6"), True))
    assert {name: len(curve) for name, curve in found.items()} == {"ZO-2": 6}
    others = list(points_of(twin))
    below = Line([twin], others, (), False)
    assert list(curves(panel, others, below)) == ["ZO-4"]
    assert titled(own_words(panel.title, below), others) == "FD, zero-order\nLite2, n = 8"
    assert own_words("CLIPScore", Line([], [], (), True)) == "CLIPScore"
    told = list(notes(FIGURES["6"], [Line(own, ours, published("6"), True), below]))
    assert told[1:] == [
        "sit_xl_2: verifier dino; reference: CIFAR-10",
        "sit_cifar10: verifier classifier; reference: CIFAR-10",
    ]


def test_a_twin_has_its_own_names(tmp_path: Path) -> None:
    """It plays a role of the paper's, and is not called DINO for it."""
    runs = [finished(tmp_path / name, "sit_cifar10", "random", name) for name in ("classifier", "classifier_b")]
    points = [point for run in runs for point in points_of(run)]
    (panel, *_) = FIGURES["13"].panels
    assert isinstance(panel, Panel)
    assert list(curves(panel, points, Line(runs, points, (), False))) == ["classifier", "classifier_b"]


def test_seeds_are_put_together_point_by_point(tmp_path: Path) -> None:
    """Of two seeds, one of which has a point less."""
    runs = [finished(tmp_path / f"{seed}", "sit_cifar10", "zo", "classifier", seed=seed) for seed in (0, 10)]
    points = [point for run in runs for point in points_of(run) if (point.seed, point.point) != (0, 0)]
    chosen = [point for point in points if point.metric == "precision"]
    axes = blank(3, 3).subplots()
    draw_ours(axes, "ZO-2", chosen, "nfe", {"color": "k"})
    assert axes.lines[0].get_xdata().tolist() == [250, 500, 1000]
    assert axes.lines[0].get_ydata().tolist() == [260, 505, 1005]


def test_twins_are_drawn_below(tmp_path: Path) -> None:
    own, twin = finished(tmp_path / "own", "sit_xl_2"), finished(tmp_path / "twin", "sit_cifar10", "zo", "classifier")
    assert paper_figure("6", [own, twin], tmp_path / "out").stat().st_size > 50_000


@pytest.mark.parametrize(
    ("setting", "kept"),
    [({"cfg_scale": 1.35}, False), ({"search_nfe": 25}, False), ({}, True), ({"verifier": "clip"}, False)],
)
def test_runs_of_other_settings_do_not_belong(tmp_path: Path, setting: dict, kept: bool) -> None:
    run = finished(tmp_path / "run", "sit_xl_2", **setting)
    (panel, *_) = FIGURES["6"].panels
    assert isinstance(panel, Panel)
    points = list(points_of(run))
    assert bool(curves(panel, points, Line([run], points, (), True))) is kept


def test_curves_of_one_panel_have_the_same_number_of_images(tmp_path: Path) -> None:
    """Frechet distances of different n do not compare: the n that most points have is drawn."""
    runs = [
        finished(tmp_path / "a", "sit_cifar10", "zo", "classifier", n_images=500),
        finished(tmp_path / "b", "sit_cifar10", "zo_4", "classifier", n_images=500),
        finished(tmp_path / "c", "sit_cifar10", "zo_8", "classifier", n_images=1000),
    ]
    (panel, *_) = FIGURES["6"].panels
    assert isinstance(panel, Panel)
    points = [point for run in runs for point in points_of(run)]
    assert list(curves(panel, points, Line(runs, points, (), False))) == ["ZO-2", "ZO-4"]


def test_wrong_names_are_told_in_one_line(tmp_path: Path) -> None:
    run = finished(tmp_path / "run", "sit_cifar10", "zo", "classifier")
    for figure, axis, words in (("2", None, "figure=2: one of 1, 3"), ("6", "x", "axis=x: one of nfe, nfe_paper")):
        with pytest.raises(Refused, match=words):
            paper_figure(figure, [run], tmp_path / "out", axis)
    with pytest.raises(Refused, match="figure=14: none of these runs belongs to it"):
        paper_figure("14", [run], tmp_path / "out")


def test_every_figure_is_told_in_the_papers_order() -> None:
    assert [len(figure.panels) for figure in FIGURES.values()] == [4, 2, 2, 4, 4, 1, 2, 4, 3, 2, 1, 1, 1, 3, 1, 2]
    assert sum(isinstance(panel, Scatter) for figure in FIGURES.values() for panel in figure.panels) == 2


def test_table_3_is_the_gain_of_search_over_preference_training() -> None:
    """5.66, .76, 23.54 over 5.59, .74, 22.54, as printed."""
    (panel,) = FIGURES["table3"].panels
    assert isinstance(panel, Bars)
    (bars,) = bars_of(panel, published_table("3")).values()
    found = {name: round(value, 1) for name, (value,) in bars.items()}
    assert found == {"Aesthetic": 1.3, "CLIPScore": 2.7, "PickScore": 4.4}


def test_panels_of_other_models_have_their_parts_in_the_title() -> None:
    below = Line([], [], (), False)
    assert own_words("FLUX.1-dev: CLIPScore and CLIP, FID", below) == "drawn scenes: clip and classifier_b, FD"
    assert own_words("FLUX.1-dev", Line([], [], (), True)) == "FLUX.1-dev"
