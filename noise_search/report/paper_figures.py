"""A figure of the paper, drawn from finished runs: over the published points where the runs are of the paper's own
models, else the published panels above and their twins below, in the same form, each on its own axes."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from noise_search.errors import Refused
from noise_search.report.figures import blank, save, spaced
from noise_search.report.matrix import banks
from noise_search.report.paper import FIGURES, NAMES, Panel, PaperFigure, Scatter
from noise_search.report.published import GROUPS, MULTIPLY_ADDS, OWN, Point, published
from noise_search.storage.run_folder import finished_record, flatten, identity_of
from noise_search.storage.units import read_units

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # told apart without red and green
MARKERS = "osD^vP"
AXES = {
    "nfe": "NFE per image, metered",
    "nfe_paper": "NFE per image, published convention",
    "seconds": "seconds per image",
    "gflops": "GFLOPs per image",
}
SETTINGS = ("cfg_scale", "budget.search_nfe", "algorithm.similarity", "algorithm.backward_nfe")
Curves = dict[str, list[Point]]


class Line(NamedTuple):
    """One line of panels. ours: of finished runs; theirs: published; paper: are they of the paper's own models?"""

    folders: list[Path]
    ours: list[Point]
    theirs: Sequence[Point]
    paper: bool


def paper_figure(name: str, folders: Sequence[Path], into: Path, axis: str | None = None) -> Path:
    """Write into/figure<name>.png and .pdf; returns the PNG. axis: one of AXES; None: the paper's own."""
    if name not in FIGURES:
        raise Refused(f"figure={name}: one of {', '.join(FIGURES)}")
    if axis is not None and axis not in AXES:
        raise Refused(f"axis={axis}: one of {', '.join(AXES)}")
    own = [folder for folder in folders if finished_record(folder)["choices"]["model"] in MULTIPLY_ADDS]
    figure, lines = FIGURES[name], []
    for paper, runs in ((True, own), (False, [folder for folder in folders if folder not in own])):
        line = Line(runs, [p for run in runs for p in points_of(run)], published(name) if paper else (), paper)
        if any(has_data(panel, line) for panel in figure.panels):
            lines.append(line)
    if not lines:
        raise Refused(f"figure={name}: none of these runs belongs to it, and no point of it was published")
    return drawn(name, figure, lines, into, axis or figure.axis)


def has_data(panel: Panel | Scatter, line: Line) -> bool:
    if isinstance(panel, Scatter):
        return bool(scored_by_both(panel, line.folders))
    return any(curves(panel, side, line) for side in (line.ours, line.theirs))


def as_published(part: dict[str, str]) -> dict[str, str]:
    """The parts of a run by the names of the paper's whose roles they play."""
    return {group: OWN.get(name, name) for group, name in part.items()}


def scored_by_both(panel: Scatter, folders: Sequence[Path]) -> list[np.ndarray]:
    """[B, 2] a run: both scores of the first candidate of each image, of random searches that have both."""
    found = []
    for folder in folders:
        record = finished_record(folder)
        columns = [OWN.get(column, column) for column in record["columns"]]
        if record["choices"]["algorithm"] == "random" and {panel.x, panel.y} <= set(columns):
            bank = banks(read_units(folder, ["image_id", "bank"]), len(columns))
            if len(bank):
                found.append(bank[:, 0, [columns.index(panel.x), columns.index(panel.y)]])
    return found


def points_of(folder: Path) -> Iterator[Point]:
    """All numbers of a finished run, from its small files alone."""
    record, settings = finished_record(folder), flatten(identity_of(folder)["settings"])
    setting = {key.split(".")[-1]: float(settings[key]) for key in SETTINGS if settings.get(key) is not None}
    with (folder / "curve.csv").open() as file:
        for row in csv.DictReader(file):
            if row["value"]:
                part = as_published({group: record["choices"][group] for group in GROUPS})
                x = {name: float(row[name]) for name in AXES if row.get(name)}
                images, seed = int(row["n_images"]), int(row["seed"])
                yield Point(part, setting, row["metric"], x, float(row["value"]), seed=seed, images=images)


def curves(panel: Panel, points: Sequence[Point], line: Line) -> Curves:
    """The points of a panel by the name of their curve. What the panel does not vary is as usual: in the paper's own
    setting as it was there, elsewhere as most of the points that fit otherwise have it."""
    fitting = [
        point
        for point in points
        if point.metric == panel.metric and all(point.part[group] in names for group, names in panel.where.items())
    ]
    usual = dict(panel.usual) if line.paper else {}
    for key in {key for point in fitting for key in point.setting} - {panel.varies}:
        value = usual.get(key, most_common([point.setting[key] for point in fitting if key in point.setting]))
        fitting = [point for point in fitting if point.setting.get(key, value) == value]
    images = most_common([point.images for point in fitting])
    found: Curves = defaultdict(list)
    for point in fitting:
        if point.images == images:
            found[curve_name(point, panel)].append(point)
    return dict(sorted(found.items(), key=lambda item: order(item[1][0], panel)))


def most_common(values: Sequence[Any]) -> Any:
    return Counter(values).most_common(1)[0][0] if values else None


def curve_name(point: Point, panel: Panel) -> str:
    """What a curve is called: its choice, or its setting."""
    if panel.varies not in GROUPS:
        return f"{panel.letter} {point.setting[panel.varies]:g}"
    name = point.part[panel.varies]
    return NAMES.get(name, name)


def order(point: Point, panel: Panel) -> tuple[float, str]:
    """Where a curve stands: as the panel lists its choices, or by the value of its setting."""
    if panel.varies not in GROUPS:
        return point.setting[panel.varies], ""
    listed, name = panel.where.get(panel.varies, ()), point.part[panel.varies]
    return (float(listed.index(name)) if name in listed else 0.0), name


def drawn(name: str, figure: PaperFigure, lines: Sequence[Line], into: Path, axis: str) -> Path:
    columns = len(figure.panels)
    sheet = blank(max(2.9 * columns, 5.0), 2.7 * len(lines) + 0.3)
    grid = sheet.subplots(len(lines), columns, squeeze=False)
    for row, line in zip(grid, lines, strict=True):
        for axes, panel in zip(row, figure.panels, strict=True):
            if isinstance(panel, Scatter):
                draw_scatter(axes, panel, line)
            else:
                draw_panel(axes, panel, line, axis)
    sheet.suptitle(f"Figure {name}: {figure.title}", fontsize=10)
    if any(line.theirs for line in lines):
        sheet.supxlabel("Hollow: published, read off the paper's figures (about 1 %).", fontsize=7, color="#555555")
    return save(sheet, into, f"figure{name}")


def draw_panel(axes: Axes, panel: Panel, line: Line, axis: str) -> None:
    """Curves of runs, the mean over seeds with the range between them, and published points as hollow markers."""
    ours, theirs = curves(panel, line.ours, line), curves(panel, line.theirs, line)
    names = list(dict.fromkeys([*theirs, *ours]))
    for i, name in enumerate(names):
        style: dict[str, Any] = {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "ms": 4,
            "lw": 1.4,
        }
        if here := [point for point in theirs.get(name, ()) if axis in point.x]:
            spent, values = zip(*sorted((point.x[axis], point.value) for point in here), strict=True)
            axes.plot(spent, values, mfc="none", ls=":" if name in ours else "-", label=name, **style)
        if name in ours:
            draw_ours(axes, name, ours[name], axis, style)
    images = {point.images for curve in ours.values() for point in curve}
    axes.set_title(panel.title + "".join(f", n = {n:,}" for n in images), fontsize=8)
    dress(axes, axis)


def draw_scatter(axes: Axes, panel: Scatter, line: Line) -> None:
    """Scores of first candidates, one dot an image; what was published is r alone."""
    title = [f"{panel.title}: r = {panel.r:.2f} published"]
    for scores in scored_by_both(panel, line.folders):
        axes.scatter(scores[:, 0], scores[:, 1], s=3, alpha=0.4, color=COLOURS[0], lw=0)
        title.append(f"{np.corrcoef(scores.T)[0, 1]:.2f} here, n = {len(scores):,}")
    axes.set_title("\n".join(title), fontsize=8)
    axes.set_xlabel("similarity of image and early prediction", fontsize=7)
    axes.set_ylabel("logit of the class", fontsize=7)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def draw_ours(axes: Axes, name: str, points: Sequence[Point], axis: str, style: dict[str, Any]) -> None:
    """One curve. A single seed is told as such."""
    by_seed: dict[int | None, list[tuple[float, float]]] = defaultdict(list)
    for point in points:
        if axis in point.x:
            by_seed[point.seed].append((point.x[axis], point.value))
    if not by_seed:
        return
    shared = min(len(found) for found in by_seed.values())
    each = np.array([sorted(found)[:shared] for found in by_seed.values()])  # [seeds, points, 2]
    spent, values = each[..., 0].mean(0), each[..., 1]
    seeds = f"{len(each)} seeds" if len(each) > 1 else "1 seed"
    axes.plot(spent, values.mean(0), label=f"{name}, {seeds}", **style)
    if len(each) > 1:
        axes.fill_between(spent, values.min(0), values.max(0), color=style["color"], alpha=0.2, lw=0)


def dress(axes: Axes, axis: str) -> None:
    """Scales, ticks and labels that can be read at a column's width."""
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    spent = sorted({float(x) for curve in axes.lines for x in np.asarray(curve.get_xdata())})
    ticks = spaced(spent, 2.0)
    axes.set_xticks(ticks, [f"{tick:,.3g}" if tick < 1000 else f"{tick / 1000:.3g}k" for tick in ticks])
    axes.tick_params(labelsize=7)
    axes.set_xlabel(AXES[axis], fontsize=7)
    axes.grid(alpha=0.25, lw=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(framealpha=0.85, edgecolor="none", fontsize=6.5)
    else:
        axes.text(0.5, 0.5, "no run yet", transform=axes.transAxes, ha="center", color="#555555", fontsize=8)
