"""Which points of finished runs, and which published ones, belong to a panel of a figure of the paper."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from noise_search.report.matrix import banks
from noise_search.report.paper_panels import METRICS, NAMES, Bars, Gains, Panel, Scatter
from noise_search.report.published import GROUPS, OWN, PAPER_MODELS, Point
from noise_search.storage.run_folder import finished_record, flatten, identity_of
from noise_search.storage.units import read_units

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


def has_data(panel: Panel | Scatter | Gains | Bars, line: Line) -> bool:
    if isinstance(panel, Scatter):
        return bool(scored_by_both(panel, line.folders))
    if isinstance(panel, Bars):
        return any(bars_of(panel, side) for side in (line.ours, line.theirs))
    if isinstance(panel, Gains):
        return any(gains_of(panel, side) for side in (line.ours, line.theirs))
    return any(curves(panel, side, line) for side in (line.ours, line.theirs))


def as_published(part: dict[str, str]) -> dict[str, str]:
    """The parts of a run by the names of the paper's whose roles they play."""
    return {group: OWN.get(name, name) for group, name in part.items()}


def scored_by_both(panel: Scatter, folders: Sequence[Path]) -> dict[float, np.ndarray]:
    """Scale of guidance -> [B, 2], both scores of the first candidate of each image, of random searches that have
    both; all seeds together."""
    found: dict[float, list[np.ndarray]] = defaultdict(list)
    for folder in folders:
        record = finished_record(folder)
        columns = [OWN.get(column, column) for column in record["columns"]]
        if record["choices"]["algorithm"] == "random" and {panel.x, panel.y} <= set(columns):
            bank = banks(read_units(folder, ["image_id", "bank"]), len(columns))
            if len(bank):
                scale = float(identity_of(folder)["settings"]["cfg_scale"])
                found[scale].append(bank[:, 0, [columns.index(panel.x), columns.index(panel.y)]])
    return {scale: np.concatenate(found[scale]) for scale in sorted(found)}


def points_of(folder: Path) -> Iterator[Point]:
    """All numbers of a finished run, from its small files alone; of a category, "metric, category". None of one with
    drafts: the paper has none."""
    if finished_record(folder)["choices"].get("draft", "none") != "none":
        return
    record, settings = finished_record(folder), flatten(identity_of(folder)["settings"])
    setting = {key.split(".")[-1]: float(settings[key]) for key in SETTINGS if settings.get(key) is not None}
    choices = {group: record["choices"][group] for group in GROUPS}
    part, found = as_published(choices), dict[str, Point]()
    with (folder / "curve.csv").open() as file:
        for row in csv.DictReader(file):
            x = {name: float(row[name]) for name in AXES if row.get(name)}
            told = {name: row[name] for name in ("metric", "network", "reference")} | choices
            numbers = int(row["seed"]), int(row["n_images"]), int(row["point"])
            metric, value = METRICS.get(row["metric"], row["metric"]), float(row["value"] or "nan")
            point = found[row["point"]] = Point(part, setting, metric, x, value, *numbers, told)
            if row["value"]:
                yield point
    if (categories := folder / "categories.csv").is_file():
        for row in (row for row in csv.DictReader(categories.read_text().splitlines()) if row["value"]):
            metric = f"{METRICS.get(row['metric'], row['metric'])}, {row['category']}"
            told = choices | {"metric": row["category"], "network": row["metric"], "reference": ""}
            value, images = float(row["value"]), int(row["n_images"])
            yield found[row["point"]]._replace(metric=metric, value=value, images=images, told=told)


def curves(panel: Panel, points: Sequence[Point], line: Line) -> Curves:
    """The points of a panel by the name of their curve. What the panel does not vary is as usual: in the paper's own
    setting as it was there, elsewhere as most of the points that fit otherwise have it."""
    usual = dict(panel.usual) if line.paper else {}
    fitting = alike([p for p in points if p.metric == panel.metric], panel.where, panel.varies, usual)
    found: Curves = defaultdict(list)
    for point in fitting:
        found[curve_name(point, panel)].append(point)
    return dict(sorted(found.items(), key=lambda item: order(item[1][0], panel)))


def alike(
    points: Sequence[Point],
    where: Mapping[str, tuple[str, ...]],
    varies: str = "",
    usual: Mapping[str, float] = MappingProxyType({}),
) -> list[Point]:
    """The points of choices that belong somewhere, of the same settings and, of runs, the same model, but for `varies`,
    of as many images."""
    fitting = [point for point in points if all(point.part[group] in names for group, names in where.items())]
    if varies != "model":
        model = most_common([point.told["model"] for point in fitting if point.told is not None])
        fitting = [point for point in fitting if point.told is None or point.told["model"] == model]
    for key in {key for point in fitting for key in point.setting} - {varies}:
        value = usual.get(key, most_common([point.setting[key] for point in fitting if key in point.setting]))
        fitting = [point for point in fitting if point.setting.get(key, value) == value]
    images = most_common([point.images for point in fitting])
    return [point for point in fitting if point.images == images]


def gains_of(panel: Gains, points: Sequence[Point]) -> Curves:
    """Of each metric its points as gains in % over the first point of their seed. Published ones are gains already."""
    found: Curves = {}
    for metric, name in panel.metrics.items():
        fitting = alike([point for point in points if point.metric == metric], panel.where)
        if fitting and fitting[0].told is not None:
            first = {p.seed: p.value for p in sorted(fitting, key=cost, reverse=True)}
            fitting = [p._replace(value=gain(p.value, first[p.seed])) for p in fitting if first[p.seed] > 0]
        if fitting:
            found[metric_name(fitting[0], name)] = fitting
    return found


def metric_name(point: Point, name: str) -> str:
    """name: the paper's. A run of another model has numbers of its own, by their own name."""
    return name if point.told is None or point.told["model"] in PAPER_MODELS else point.told["metric"]


def cost(point: Point) -> float:
    return point.x["nfe"] if "nfe" in point.x else point.x["nfe_paper"]


def gain(value: float, first: float) -> float:
    """In %; of a first value of 0 there is none."""
    return 100 * (value / first - 1) if first > 0 else float("nan")


def bars_of(panel: Bars, points: Sequence[Point]) -> dict[str, dict[str, list[float]]]:
    """Name of a bar -> group -> the value of every seed at its last point; as a gain over no search, or else over its
    first point, if the panel is one of gains."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for metric, group in panel.groups.items():
        fitting = alike([p for p in points if p.metric == metric], panel.where, panel.varies)
        runs: dict[tuple[str, int | None], list[Point]] = defaultdict(list)
        listed = panel.where.get(panel.varies, ())
        for point in sorted(fitting, key=lambda p: (listed.index(p.part[panel.varies]) if listed else 0, cost(p))):
            runs[point.name(panel.varies), point.seed].append(point)
        unsearched = next((p for p in fitting if p.part[panel.varies] == "none"), None)
        for (name, _), of_run in runs.items():
            first, label = unsearched or of_run[0], metric_name(of_run[0], group)
            value = gain(of_run[-1].value, first.value) if panel.gains else of_run[-1].value
            if value == value and (name != "none" or not panel.gains):  # no gain in % over 0 or less
                found["no search" if name == "none" else NAMES.get(name, name)][label].append(value)
    return found


def most_common(values: Sequence[Any]) -> Any:
    return Counter(values).most_common(1)[0][0] if values else None


def curve_name(point: Point, panel: Panel) -> str:
    """What a curve is called: its choice, or its setting."""
    if panel.varies not in GROUPS:
        return f"{panel.letter} {point.setting[panel.varies]:g}"
    name = point.name(panel.varies)
    return NAMES.get(name, name)


def order(point: Point, panel: Panel) -> tuple[float, str]:
    """Where a curve stands: as the panel lists its choices, or by the value of its setting."""
    if panel.varies not in GROUPS:
        return point.setting[panel.varies], ""
    listed, name = panel.where.get(panel.varies, ()), point.part[panel.varies]
    return (float(listed.index(name)) if name in listed else 0.0), name
