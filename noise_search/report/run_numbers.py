"""The numbers of a run's page: its curves, their values, by category, and what it cost."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noise_search.report.html import curve_figure, folded, number, section, table, titled
from noise_search.report.pictures import data_uri
from noise_search.report.run_content import RunPage

KINDS = ("real", "reconstructed")  # floors


def curves(page: RunPage) -> str:
    keys = {point: float(at) for at, point in enumerate(page.points)}
    names = dict.fromkeys(row["metric"] for row in page.curve)
    drawn = [curve_figure(page.metric(name), page.rows_of(name), page.floors, keys, page.axis) for name in names]
    return f'<div class="charts">{"".join(drawn)}</div>'


def figure_file(path: Path) -> str:
    alt = html.escape(path.stem.replace("_", " "))
    return f'<p><img class="figure" src="{data_uri(path.read_bytes())}" alt="{alt}, as in figures/{path.stem}.csv"></p>'


def values(page: RunPage) -> str:
    """One line a metric, one column a budget."""
    found = {(row["metric"], row["point"]): row for row in page.curve}
    floors = {(f["kind"], f["metric"]): number(f["value"]) for f in page.floors}
    lines = []
    for name in dict.fromkeys(row["metric"] for row in page.curve):
        metric, first = page.metric(name), page.rows_of(name)[0]
        at = [number(found[name, point]["value"]) for point in page.points]
        ends = [floors.get((kind, name), "") for kind in KINDS]
        lines.append([name, titled(metric), *at, *ends, metric.better, first["network"]])
    budgets = [f"{nfe:,} NFE" for nfe in page.nfe]
    return table(["metric", "", *budgets, *(f"floor: {kind}" for kind in KINDS), "better", "network"], lines, "values")


def category_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Of the rows of categories.csv: one line a metric and category, one column a budget; "" where there are none."""
    if not rows:
        return ""
    nfe = list(dict.fromkeys(row["nfe"] for row in rows))
    found = {(row["metric"], row["category"], row["nfe"]): row for row in rows}
    lines = []
    for metric, category in dict.fromkeys((row["metric"], row["category"]) for row in rows):
        of_budgets = [found[metric, category, budget] for budget in nfe]
        lines.append([metric, category, of_budgets[0]["n_images"], *(number(row["value"]) for row in of_budgets)])
    values = table(["metric", "category", "images", *(f"{n:,} NFE" for n in nfe)], lines, "categories")
    return section("By category", folded("Values by category", values))


def costs(page: RunPage) -> str:
    """What the run spent, and with what it was made."""
    spent, made = ([[key, number(value)] for key, value in facts.items()] for facts in (page.facts, page.made_with))
    return table(["", ""], spent, "facts") + folded("Weights and versions", table(["", ""], made, "facts"))
