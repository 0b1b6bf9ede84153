"""index.html over many finished runs: one sortable line a run, with links that any web host can serve as they are."""

import csv
import html
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from noise_search.errors import Refused
from noise_search.report.html import number, write_page
from noise_search.storage.run_folder import finished_record

HEAD = (
    "run",
    "images",
    "model",
    "algorithm",
    "verifier",
    "guidance",
    "seed",
    "n",
    "NFE",
    "score",
    "numbers of the set",
)


def write_index(folder: Path) -> Path:
    """Write folder/index.html over all finished runs under it, and return it."""
    runs = sorted(path.parent for path in folder.rglob("run.json") if (path.parent / "report.html").is_file())
    if not runs:
        raise Refused(f"{folder}: there is no finished run under it (no run.json beside a report.html)")
    lines = "".join(line(folder, run) for run in runs)
    unsorted = {"images", "numbers of the set"}
    head = "".join(f'<th scope="col"{" data-sorts" * (name not in unsorted)}>{name}</th>' for name in HEAD)
    body = (
        f'<p class="note">{len(runs):,} finished runs. Score: of the final images, at the largest budget.</p>'
        f'<table class="index"><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>'
    )
    write_page(folder / "index.html", f"Runs in {folder.resolve().name}", body)
    return folder / "index.html"


def line(folder: Path, run: Path) -> str:
    """One run: its choices, what it spent and reached, a link to its report."""
    record, rows = finished_record(run), list[dict[str, str]]()
    with (run / "curve.csv").open() as file:
        rows += csv.DictReader(file)
    last = {row["metric"]: row for row in rows if row["point"] == rows[-1]["point"]}
    first, choices = rows[0], record["choices"]
    where = quote(os.path.relpath(run, folder).replace(os.sep, "/"))
    name = html.escape(run.name if run != folder else folder.resolve().name)
    scores = [row["value"] for metric, row in last.items() if metric.split("/")[0] == "score_final"]
    cells: list[tuple[Any, str]] = [
        (name, f'<a href="{where}/report.html">{name}</a>'),
        ("", sheet(run, where, name, len({row["point"] for row in rows}))),
        *((name, html.escape(name)) for name in (choices["model"], searched(choices), choices["verifier"])),
        (first["cfg_scale"], f"{float(first['cfg_scale']):g}"),
        (first["seed"], first["seed"]),
        (record["images"], f"{record['images']:,}"),
        (rows[-1]["nfe"], f"{int(rows[-1]['nfe']):,}"),
        ((scores or [""])[0], number(float(scores[0])) if scores and scores[0] else ""),
        ("", of_the_set(record["metrics"], last)),
    ]
    told = zip(HEAD, cells, strict=True)
    return "<tr>" + "".join(f'<td data-head="{h}" data-value="{v}">{shown}</td>' for h, (v, shown) in told) + "</tr>"


def searched(choices: Mapping[str, str]) -> str:
    """The algorithm, with its draft where it has one."""
    draft = choices.get("draft", "none")  # not said by runs that are older than drafts
    return choices["algorithm"] + f", {draft} drafts" * (draft != "none")


def sheet(run: Path, where: str, name: str, points: int) -> str:
    """The images at growing budgets, as the run drew them, one column a point: its first lines."""
    if not (run / "images/side_by_side.png").is_file():
        return ""
    shape = f"aspect-ratio: {points}/{(points + 1) // 2}"
    alt = f"{name}: images at growing budgets"
    return f'<img loading="lazy" src="{where}/images/side_by_side.png" style="{shape}" alt="{alt}">'


def of_the_set(metrics: Mapping[str, Any], last: Mapping[str, Mapping[str, str]]) -> str:
    """The first few of the judge's numbers at the largest budget."""
    names = [m for m in metrics if not m.startswith("score") and last.get(m, {}).get("value")]
    told: Sequence[str] = [f"{html.escape(metrics[m]['title'])} {number(float(last[m]['value']))}" for m in names[:3]]
    return "<br>".join(told)
