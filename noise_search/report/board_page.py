"""The leaderboard as one sortable page: a line for each method, verifier, unit and budget."""

import html
from collections.abc import Sequence
from pathlib import Path

from noise_search.measures.board import Row
from noise_search.report.html import number, wide, write_page

KINDS = {  # a column -> the metrics that stand in it
    "score": ("score", "score_final"),
    "judge, an image": ("own_class", "class_accuracy", "satisfied"),
    "KID": ("kernel_distance",),
}
HEAD = ("model", "method", "verifier", "unit", "budget", "cost", *KINDS, "images")


def write_board(path: Path, rows: Sequence[Row]) -> None:
    """Write the page. rows: in the order of its lines."""
    lines: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        told = row.model, row.method, row.verifier, row.unit, row.budget, row.command, row.seeds
        lines.setdefault(told, []).append(row)
    head = "".join(f'<th scope="col" data-sorts>{name}</th>' for name in HEAD)
    note = (
        "Costs are of an image. Beside a number, in brackets: its difference to random search's at the same budget, on"
        " the same images, with a 95 % interval."
    )
    body = "".join(line(of_line) for of_line in lines.values())
    table = f'<table class="index board"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    write_page(path, "Leaderboard", f'<p class="note">{note}</p>{wide(table, "leaderboard")}')


def line(rows: Sequence[Row]) -> str:
    """One method with one verifier at one budget."""
    first = rows[0]
    cells: list[tuple[object, str]] = [
        (value, value) for value in (first.model, first.method, first.verifier, first.unit)
    ]
    cells += [(first.budget, number(first.budget)), (first.cost, number(first.cost))]
    for names in KINDS.values():
        row = next((row for row in rows if row.metric in names), None)
        cells.append(("", "") if row is None else (row.value, told(row)))
    images = first.images * len(first.seeds)
    cells.append((images, f"{images:,}"))
    return "<tr>" + "".join(cell(name, *values) for name, values in zip(HEAD, cells, strict=True)) + "</tr>"


def cell(name: str, value: object, shown: str) -> str:
    return f'<td data-head="{name}" data-value="{html.escape(str(value))}">{html.escape(shown)}</td>'


def told(row: Row) -> str:
    """The value, and how far it is from random search's."""
    if row.difference is None:
        return number(row.value)
    ends = "" if row.diff_low is None or row.diff_high is None else f" [{row.diff_low:+.3g}, {row.diff_high:+.3g}]"
    return f"{number(row.value)} ({row.difference:+.3g}{ends})"
