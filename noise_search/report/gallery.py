"""gallery.html: several runs under one slider: their curves in one picture a metric, the same images side by side."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from noise_search.measures.metric import Metric
from noise_search.report.combined import Rows, number
from noise_search.report.figures import spaced, unknown
from noise_search.report.html import figure, image, section, slider, table, titled, wide, write_page
from noise_search.report.html import number as cell
from noise_search.report.pictures import Pictures
from noise_search.report.svg import Curve, Dot, chart

IMAGES = 24  # that are shown


class Shown(NamedTuple):
    """One run. nfe: of its points, growing; ids, names: of its first images; png, scores: of each image, by point."""

    name: str
    nfe: Sequence[int]
    ids: Sequence[int]
    names: Sequence[str]
    png: Sequence[Sequence[bytes]]
    scores: Sequence[Sequence[float | None]]


def write_gallery(
    path: Path, rows: Rows, metrics: Mapping[str, Metric], sides: Sequence[Shown], tables: Sequence[str] = ()
) -> None:
    """rows: of the combined curve; sides: runs that show images of the same ids and conditions; tables: HTML, of
    numbers at equal cost."""
    known = [row for row in rows if row["value"]]
    series = list(dict.fromkeys(row["series"] for row in known))
    spent = sorted({int(row["nfe"]) for row in known})
    budgets = [*spaced(spent[:-1], 1.12), spent[-1]]
    pictures = Pictures()
    numbers = [[[pictures.add(png) for png in points] for points in side.png] for side in sides]
    uris, named = pictures.uris(), set[int]()
    names = dict.fromkeys(row["metric"] for row in known)
    drawn = [
        combined_figure(metrics.get(m) or unknown(m), [r for r in known if r["metric"] == m], series) for m in names
    ]
    body = [
        f"<p>{len(series)} series of runs, from {spent[0]:,} to {spent[-1]:,} network evaluations (NFE) an image.</p>",
        slider([float(value) for value in budgets]),
        section("The same images side by side", side_by_side(sides, numbers, uris, named), SIDES_NOTE),
        section("Curves", f'<div class="charts">{"".join(drawn)}</div>', CURVES_NOTE),
        section("At equal cost", "".join(tables), TABLES_NOTE),
    ]
    data = {
        "keys": budgets,
        "told": [f"{value:,} NFE an image" for value in budgets],
        "uris": [None if n in named else uri for n, uri in enumerate(uris)],
        "sides": [
            {"name": side.name, "nfe": list(side.nfe), "names": list(side.names), "images": own, "scores": side.scores}
            for side, own in zip(sides, numbers, strict=True)
        ],
    }
    write_page(path, f"Comparison: {'; '.join(series)}", "\n".join(body), data, pictures.width > 96)


SIDES_NOTE = (
    "One line an image: the same condition and, with the same seed, the same first noise. Each run shows what its"
    " dearest point within the budget chose, and that image's final score by its own verifier."
)
CURVES_NOTE = (
    "Means over seeds, with the range of seeds, or the 95 % interval of a single one. On each, the slider's budget."
)

TABLES_NOTE = (
    "The dearest point of each run within a budget, and differences on the images that runs share; comparison.md and"
    " comparison.tex hold the same tables."
)


def combined_figure(metric: Metric, rows: Rows, series: Sequence[str]) -> str:
    """One metric of all series; one that lacks it keeps its colour for the others."""
    curves = [Curve(name, dots_of([row for row in rows if row["series"] == name])) for name in series]
    cells = [
        [curve.name, cell(dot.key), cell(dot.y), cell(dot.low), cell(dot.high)]
        for curve in curves
        for dot in curve.dots
    ]
    networks = " and ".join(dict.fromkeys(row["network"] for row in rows if row["network"]))
    images = " and ".join(f"{n:,}" for n in sorted({int(row["n_images"]) for row in rows}))
    biased = ", strongly biased at this n: compare equal n only" if metric.biased else ""
    described = f"{titled(metric)} against NFE per image, {len(series)} series; the values are in the table below"
    shown = chart(curves, [], "NFE per image", described)
    values = table(["series", "NFE", "value", "from", "to"], cells)
    return figure(metric, f"{metric.short} ({networks}), n = {images}{biased}", shown, values, series)


def dots_of(rows: Rows) -> list[Dot]:
    """The points of one series: means over seeds with their range; of one seed with its interval."""
    out = []
    for point in dict.fromkeys(row["point"] for row in rows):
        own = [row for row in rows if row["point"] == point]
        values, nfe = [float(row["value"]) for row in own], float(np.mean([number(row["nfe"]) for row in own]))
        low, high = (min(values), max(values)) if len(own) > 1 else (maybe(own[0]["ci_low"]), maybe(own[0]["ci_high"]))
        mean = float(np.mean(values))
        between = "" if low is None else f" ({cell(low)} to {cell(high)})"
        out.append(Dot(nfe, mean, low, high, nfe, f"{nfe:,.0f} NFE: {cell(mean)}{between}"))
    return sorted(out)


def maybe(cell: str) -> float | None:
    return float(cell) if cell else None


def side_by_side(
    sides: Sequence[Shown], numbers: Sequence[Sequence[Sequence[int]]], uris: Sequence[str], named: set[int]
) -> str:
    """A column a run, a line an image; at the largest budget where there is no script. "" where nothing is shared."""
    if not sides or not sides[0].ids:
        return ""
    head = "".join(f'<th scope="col">{html.escape(side.name)}</th>' for side in sides)
    lines = []
    for row, (own, name) in enumerate(zip(sides[0].ids, sides[0].names, strict=True)):
        cells = []
        for run, (side, chosen) in enumerate(zip(sides, numbers, strict=True)):
            shown = image(chosen[row][-1], uris, f"{name}, {side.name}", named, f'data-side="{row},{run}"')
            cells.append(f"<td>{shown}<small></small></td>")
        lines.append(
            f'<tr><th scope="row"><span class="name">{own}: {html.escape(name)}</span></th>{"".join(cells)}</tr>'
        )
    return wide(f'<table class="side"><tr><td></td>{head}</tr>{"".join(lines)}</table>', "images side by side")
