"""Finished runs side by side: one tidy table of every point, tables at equal cost, and paired differences."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from noise_search.report.combined import Rows
from noise_search.report.comparison import (
    COSTS,
    Table,
    Written,
    budget_name,
    dominance,
    heading,
    latex,
    lines_of,
    tables,
)
from noise_search.report.figures import unknown
from noise_search.report.gallery import write_gallery
from noise_search.run.compared_runs import Runs, opened
from noise_search.run.paired_runs import PAIRED, paired, paired_table
from noise_search.run.side_by_side import sides
from noise_search.storage.atomic import replacing, write_text
from noise_search.storage.curve_csv import write_csv


def compare(folders: list[Path], into: Path) -> list[Path]:
    """Write gallery.html, comparison.csv, .parquet, .md and .tex, paired.csv and the combined figures; returns what was
    written."""
    runs = opened(folders, into)
    tidy(runs.rows, into)
    pairs = list(paired(runs))
    write_csv(into / "paired.csv", pairs, PAIRED)
    text, tex, html = ["# Comparison\n"], list[str](), list[str]()
    for axis, name in COSTS.items():
        usable, why = rows_on(runs.rows, axis)
        if why:
            text.append(f"## At equal {name}\n\n{why}\n")
            continue
        text.append(f"## At equal {name} an image\n\nThe dearest point of each run within the budget.\n")
        for table in tables(usable, axis):
            told = written(table, runs, usable)
            text.append(told.markdown())
            tex.append(latex(told.header, told.lines, told.title))
            html.append(told.html(f"at equal {name}"))
    text.append("## Paired differences on shared images\n")
    if pairs:
        told = paired_table(pairs, runs.metrics)
        text.append(told.markdown())
        html.append(told.html("at the largest budget of each pair"))
    else:
        text.append("None: these runs share no images of the same condition and seed.\n")
    write_text(into / "comparison.md", "\n".join(text))
    write_text(into / "comparison.tex", "\n".join(tex))
    write_gallery(into / "gallery.html", runs.rows, runs.metrics, sides(runs), html)
    tables_of = [into / f"comparison.{form}" for form in ("md", "tex", "csv", "parquet")]
    return [into / "gallery.html", *tables_of, into / "paired.csv"]


def tidy(rows: Rows, into: Path) -> None:
    """Every point of every run, for whoever draws for himself: numbers are numbers in the Parquet file."""
    (into / "curve.csv").rename(into / "comparison.csv")
    columns = {}
    for name in rows[0]:
        cells = [row[name] or None for row in rows]
        columns[name] = pa.array(cells if name in WORDS else [cell and float(cell) for cell in cells])
    with replacing(into / "comparison.parquet") as temporary:
        pq.write_table(pa.table(columns), temporary)


WORDS = (
    *("series", "model", "dataset", "algorithm", "verifier", "draft", "device"),
    *("metric", "network", "reference", "weights"),
)


def rows_on(rows: Rows, axis: str) -> tuple[Rows, str]:
    """The rows that have a value, or why there is no table at equal `axis`."""
    known = [row for row in rows if row["value"]]
    if axis == "seconds" and len(devices := sorted({row["device"] for row in known})) > 1:
        return [], f"No table: seconds of {'; '.join(devices)} do not compare."
    if not all(row[axis] for row in known):
        return [], f"No table: not every run knows its {COSTS[axis]}."
    return known, ""


def written(table: Table, runs: Runs, rows: Rows) -> Written:
    """A table in words, with who dominates whom."""
    metric = runs.metrics.get(table.metric) or unknown(table.metric)
    of_metric = [row for row in rows if row["metric"] == table.metric]
    networks = " and ".join(dict.fromkeys(row["network"] for row in of_metric))
    images = sorted({int(row["n_images"]) for row in of_metric})
    label = f"{networks}, n = {' and '.join(f'{n:,}' for n in images)}"
    if table.axis == "seconds":
        label += f", {of_metric[0]['device']}"
    notes = []
    if metric.biased and images[0] < 10_000:
        notes.append("Strongly biased at this n: compare equal n only.")
    if len(networks.split(" and ")) > 1:
        notes.append("These are different scales, each of its own network.")
    elif above := dominance(table, metric.better):
        pairs = "; ".join(f"{a} than {b}" for a, b in above)
        notes.append(f"By the means, never worse and somewhere better: {pairs}.")
    header = [COSTS[table.axis], *map(budget_name, table.budgets)]
    return Written(heading(table, metric, label), header, lines_of(table), notes)
