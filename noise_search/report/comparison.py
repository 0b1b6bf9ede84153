"""What several runs reached for the same spending: tables at equal cost, and who is never worse than whom."""

from __future__ import annotations

import html
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from noise_search.measures.metric import Metric
from noise_search.report.combined import Rows, number
from noise_search.report.figures import spaced
from noise_search.report.html import folded, table

COSTS = {"nfe": "NFE", "seconds": "seconds", "gflops": "GFLOPs"}  # an image


class Reached(NamedTuple):
    """A series at the largest of its points within a budget. spent: what that point costs; values: one a seed."""

    point: int
    spent: float
    values: list[float]


class Table(NamedTuple):
    """cells: (series, budget) -> what it reached; a series that has nothing so cheap has no cell there."""

    metric: str
    axis: str
    budgets: list[float]
    series: list[str]
    cells: dict[tuple[str, float], Reached]


class Written(NamedTuple):
    """A table in words. notes: sentences that stand beneath it."""

    title: str
    header: Sequence[str]
    lines: Sequence[Sequence[str]]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        notes = "".join(f"\n{note}\n" for note in self.notes)
        return f"### {self.title}\n\n{markdown(self.header, self.lines)}\n{notes}"

    def html(self, at: str) -> str:
        """Folded. at: what the cost of its budgets is, or other words after the title."""
        notes = "".join(f"<p>{html.escape(note)}</p>" for note in self.notes)
        return folded(f"{self.title}; {at}", table(self.header, self.lines) + notes)


def tables(rows: Rows, axis: str) -> list[Table]:
    """One table a metric. rows: of the combined curve, with a number in `axis` and a value."""
    out = []
    for metric in dict.fromkeys(row["metric"] for row in rows):
        points: dict[str, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
        for row in rows:
            if row["metric"] == metric:
                points[row["series"]][int(row["point"])].append((number(row[axis]), float(row["value"])))
        spent = {float(x) for by_point in points.values() for found in by_point.values() for x, _ in found}
        budgets = spaced(sorted(spent), 1.5)
        if max(spent) not in budgets:
            budgets.append(max(spent))
        cells = {}
        for series, by_point in points.items():
            for budget in budgets:
                if reached := within(by_point, budget):
                    cells[series, budget] = reached
        out.append(Table(metric, axis, budgets, list(points), cells))
    return out


def within(by_point: Mapping[int, list[tuple[float, float]]], budget: float) -> Reached | None:
    """The dearest point whose mean cost over seeds is within the budget; nothing is interpolated."""
    affordable = []
    for point, found in by_point.items():
        spent = float(np.mean([x for x, _ in found]))
        if spent <= budget * (1 + 1e-9):
            affordable.append(Reached(point, spent, [value for _, value in found]))
    return max(affordable, key=lambda reached: reached.spent, default=None)


def dominance(table: Table, better: str) -> list[tuple[str, str]]:
    """(a, b): a is at no budget worse than b, and at one better, by the means over seeds, where both have a value."""
    sign = {"higher": 1.0, "lower": -1.0}.get(better)
    if sign is None:
        return []
    means = {key: sign * float(np.mean(reached.values)) for key, reached in table.cells.items()}
    out = []
    for a in table.series:
        for b in table.series:
            shared = [(means[a, x], means[b, x]) for x in table.budgets if (a, x) in means and (b, x) in means]
            if a != b and shared and all(p >= q for p, q in shared) and any(p > q for p, q in shared):
                out.append((a, b))
    return out


def budget_name(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or float(value).is_integer() else f"{value:.3g}"


def cell(reached: Reached | None) -> str:
    """The mean over seeds, and its lowest and highest."""
    if reached is None:
        return ""
    mean, values = f"{np.mean(reached.values):.4g}", reached.values
    return mean if len(values) == 1 else f"{mean} ({min(values):.4g} to {max(values):.4g})"


def lines_of(table: Table) -> list[list[str]]:
    return [[name, *(cell(table.cells.get((name, x))) for x in table.budgets)] for name in table.series]


def heading(table: Table, metric: Metric, label: str) -> str:
    direction = f", {metric.better} is better" if metric.better else ""
    return f"{metric.title}{direction}: {label}"


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    told = ["| " + " | ".join(html.escape(str(value), quote=False) for value in line) + " |" for line in lines]
    return "\n".join(["| " + " | ".join(header) + " |", "|" + "---|" * len(header), *told])


def latex(header: Sequence[str], lines: Sequence[Sequence[str]], caption: str) -> str:
    """A table of booktabs."""
    body = "\n".join(" & ".join(map(escaped, line)) + r" \\" for line in lines)
    columns = "l" + "r" * (len(header) - 1)
    return (
        f"\\begin{{table}}\n\\centering\n\\caption{{{escaped(caption)}}}\n\\begin{{tabular}}{{{columns}}}\n\\toprule\n"
        f"{' & '.join(map(escaped, header))} \\\\\n\\midrule\n{body}\n\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def escaped(text: Any) -> str:
    """Text for LaTeX."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in str(text))
