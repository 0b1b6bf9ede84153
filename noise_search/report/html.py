"""report.html: one self-contained file with the plan, the curves, the images at growing budgets and the settings."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image

from noise_search.measures.metric import Metric
from noise_search.report.figures import unknown
from noise_search.storage.atomic import write_text

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1180px; margin: 2em auto; padding: 0 1.5em }
h1 { font-size: 1.5em; margin-bottom: .2em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #ddd }
table { border-collapse: collapse } td, th { padding: .25em .8em; text-align: right }
td { font-variant-numeric: tabular-nums }
th { font-weight: 600; border-bottom: 1px solid #bbb } td:first-child, th:first-child { text-align: left }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 1em }
.figures img { width: 100% } .grid img { width: 84px; height: 84px; image-rendering: pixelated; display: block }
.grid td { padding: 2px 4px; text-align: center; font-size: 11px; color: #555 }
.grid td:first-child { color: #222; font-size: 14px; max-width: 22em }
pre { background: #f6f6f6; padding: 1em; overflow-x: auto; font-size: 12px } .note { color: #555 }
"""


def data_uri(content: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(content).decode()


def thumbnail(png: bytes, side: int = 256) -> bytes:
    """The picture, at most `side` pixels wide: large ones would make a page of a hundred megabytes."""
    picture = Image.open(io.BytesIO(png))
    if picture.width <= side:
        return png
    small = io.BytesIO()
    picture.resize((side, side * picture.height // picture.width), Image.Resampling.LANCZOS).save(small, "png")
    return small.getvalue()


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """An HTML table; every cell is escaped."""

    def cells(values: Sequence[Any], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(str(value))}</{tag}>" for value in values)

    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return f"<table><tr>{cells(header, 'th')}</tr>{body}</table>"


def number(value: Any) -> str:
    """A cell: text as it is, floats to four digits, integers with separators."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}"


def image_grid(rows: pa.Table, points: Sequence[int], nfe: Sequence[int], names: Sequence[str], count: int) -> str:
    """One line a condition, one column a budget."""
    shown = rows.select(GRID_COLUMNS).slice(0, count * len(points))  # rows are sorted by image, then point
    by_key = {(r["image_id"], r["point"]): r for r in shown.to_pylist()}
    ids = sorted({image for image, _ in by_key})
    lines = ["<tr><td></td>" + "".join(f"<td>{value:,} NFE</td>" for value in nfe) + "</tr>"]
    for image in ids:
        cells, previous = [], None
        for point in points:
            row = by_key[image, point]
            same = "unchanged" if row["png"] == previous else ", ".join(f"{v:.2f}" for v in row["scores_final"][:1])
            previous = row["png"]
            cells.append(f'<td><img src="{data_uri(thumbnail(row["png"]))}" alt="">{same}</td>')
        name = html.escape(names[by_key[image, points[0]]["condition"]])
        lines.append(f"<tr><td>{name}</td>{''.join(cells)}</tr>")
    return f'<table class="grid">{"".join(lines)}</table>'


def category_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Of the rows of categories.csv: one line a metric and category, one column a budget; "" where there are none."""
    if not rows:
        return ""
    nfe = list(dict.fromkeys(row["nfe"] for row in rows))
    values = {(row["metric"], row["category"], row["nfe"]): row for row in rows}
    lines = []
    for metric, category in dict.fromkeys((row["metric"], row["category"]) for row in rows):
        of_budgets = [values[metric, category, budget] for budget in nfe]
        lines.append([metric, category, of_budgets[0]["n_images"], *(number(row["value"]) for row in of_budgets)])
    return f"<h2>By category</h2>{table(['metric', 'category', 'images', *(f'{n:,} NFE' for n in nfe)], lines)}"


GRID_COLUMNS = ["image_id", "point", "condition", "scores_final", "png"]


def write_report(
    path: Path,
    title: str,
    plan: str,
    metrics: Mapping[str, Metric],
    curve: Sequence[Mapping[str, Any]],
    floors: Sequence[Mapping[str, Any]],
    categories: Sequence[Mapping[str, Any]],
    figures: Sequence[Path],
    rows: pa.Table,
    names: Sequence[str],
    settings: str,
    facts: Mapping[str, Any],
    count: int = 10,
) -> None:
    """Write the report; metrics: by name; curve, floors, categories: rows of their CSV files; rows: the units' table;
    names: of the classes, or the prompts."""
    points = sorted({row["point"] for row in curve})
    nfe = {row["point"]: row["nfe"] for row in curve}
    told = [metrics.get(name) or unknown(name) for name in dict.fromkeys(row["metric"] for row in curve)]
    values = {(row["metric"], row["point"]): row for row in curve}
    networks = {row["metric"]: row["network"] for row in curve}
    lines = [
        [m.name, m.title, m.better, networks[m.name], *(number(values[m.name, p]["value"]) for p in points)]
        + [
            next((number(f["value"]) for f in floors if (f["kind"], f["metric"]) == (kind, m.name)), "")
            for kind in KINDS
        ]
        for m in told
    ]
    n = curve[0]["n_images"]
    header = [
        "metric",
        "",
        "better",
        "network",
        *(f"{nfe[p]:,} NFE" for p in points),
        "floor: real",
        "floor: reconstructed",
    ]
    pictures = "".join(f'<img src="{data_uri(f.read_bytes())}" alt="{html.escape(f.stem)}">' for f in figures)
    biased = ", ".join(m.title for m in told if m.biased and n < 10_000)
    bias = f"Strongly biased at this n: {biased}; compare at equal n only." if biased else ""
    if bias and "kernel_distance" in networks:
        bias = f"Strongly biased at this n: {biased}; read the kernel distance instead."
    known = "No floors: too few held-out images are at hand (scripts/fetch_cifar10.py)."
    if floors:
        known = "Floors: as many held-out real images, and their reconstructions by the autoencoder where there is one."
    content = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>
<style>{STYLE}</style>
<h1>{html.escape(title)}</h1>
<p class="note">n = {n:,} images. {bias} {known}</p>
<h2>Curves</h2><div class="figures">{pictures}</div>
<h2>The same conditions at growing budgets</h2>
<p class="note">Each row starts from one noise; each column spends more on searching for a better one. Below each
image: its final verifier score, or that the winner is still the same.</p>
{image_grid(rows, points, [nfe[p] for p in points], names, count)}
<h2>Values</h2>{table(header, lines)}
{category_table(categories)}
<h2>Plan</h2><pre>{html.escape(plan)}</pre>
<h2>What was spent, and on what</h2>{table(["", ""], [[k, number(v)] for k, v in facts.items()])}
<h2>Settings</h2><pre>{html.escape(settings)}</pre>
</html>
"""
    write_text(path, content)


KINDS = ("real", "reconstructed")
