"""Pages: one self-contained file each, useful without JavaScript and better with it; and what they are made of."""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from noise_search.measures.metric import Metric
from noise_search.report.figures import axis_label, label
from noise_search.report.page import asset
from noise_search.report.svg import Curve, Dot, chart, short, swatch
from noise_search.storage.atomic import write_text


def write_page(path: Path, title: str, body: str, data: Mapping[str, Any] | None = None, large: bool = False) -> None:
    """Write a page with its style, its script and the data that the script reads. large: are its pictures so?"""
    told = json.dumps(data or {}, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    write_text(
        path,
        f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>{asset("page.css")}</style></head><body{' class="large"' * large}>
<main><h1>{html.escape(title)}</h1>
{body}
</main>
<script type="application/json" id="data">{told}</script><script>{asset("page.js")}</script></body></html>
""",
    )


def table(header: Sequence[str], rows: Sequence[Sequence[Any]], kind: str = "") -> str:
    """An HTML table; every cell is escaped."""

    def cells(values: Sequence[Any], tag: str) -> str:
        return "".join(f"<{tag}>{html.escape(str(value))}</{tag}>" for value in values)

    head = f"<thead><tr>{cells(header, 'th')}</tr></thead>" if any(header) else ""
    body = "".join(f"<tr>{cells(row, 'td')}</tr>" for row in rows)
    return wide(f'<table class="{kind}">{head}<tbody>{body}</tbody></table>', "table")


def wide(inner: str, label: str) -> str:
    """What scrolls by itself, by keys too, where a window is narrow."""
    return f'<div class="wide" tabindex="0" role="region" aria-label="{label}">{inner}</div>'


def number(value: Any) -> str:
    """A cell: text as it is, floats to four digits, integers with separators."""
    if value is None or isinstance(value, str):
        return value or ""
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}"


def section(heading: str, body: str, note: str = "") -> str:
    told = f'<p class="note">{html.escape(note)}</p>' if note else ""
    return f"<section><h2>{html.escape(heading)}</h2>{told}{body}</section>" if body else ""


def folded(summary: str, body: str) -> str:
    """What is seen where its line is pressed."""
    return f"<details><summary>{html.escape(summary)}</summary>{body}</details>"


def image(n: int, uris: Sequence[str], alt: str, named: set[int], more: str = "") -> str:
    """Picture number n; the first <img> of each has the id by which the script finds it. more: attributes."""
    identity = "" if n in named else f' id="p{n}"'
    named.add(n)
    return f'<img{identity} src="{uris[n]}" alt="{html.escape(alt)}"{more and " " + more}>'


def slider(budgets: Sequence[float]) -> str:
    """The budget that the page shows; it is seen where there is a script. It begins at the largest."""
    last = len(budgets) - 1
    ends = f"<span>{short(budgets[0])}</span><span>{short(budgets[-1])}</span>"
    return (
        f'<div class="budget" hidden><label for="budget">Search budget: <output id="told">{short(budgets[-1])} NFE an'
        f' image</output></label><input type="range" id="budget" min="0" max="{last}" step="1" value="{last}">'
        f'<p class="ends" aria-hidden="true">{ends}</p></div>'
    )


def said(row: Mapping[str, Any], axis: str) -> str:
    """A point of a curve in words."""
    unit = "s" if axis == "seconds" else "NFE"
    between = "" if row["ci_low"] is None else f" ({number(row['ci_low'])} to {number(row['ci_high'])})"
    return f"{number(row[axis])} {unit}: {number(row['value'])}{between}"


def curve_figure(
    metric: Metric,
    rows: Sequence[dict[str, Any]],
    floors: Sequence[Mapping[str, Any]],
    keys: Mapping[int, float],
    axis: str,
) -> str:
    """One metric of one run as a figure with its table; "" where it has no value. keys: point -> the slider's."""
    known = [row for row in rows if row["value"] is not None and row[axis]]
    if not known:
        return ""
    dots = [
        Dot(row[axis], row["value"], row["ci_low"], row["ci_high"], keys[row["point"]], said(row, axis))
        for row in known
    ]
    lines = [(f["kind"], f["value"]) for f in floors if f["metric"] == metric.name and f["value"] is not None]
    under = axis_label(axis, known[0])
    cells = [[number(r[axis]), number(r["value"]), number(r["ci_low"]), number(r["ci_high"])] for r in known]
    cells += [[f"{kind} images", number(value), "", ""] for kind, value in lines]
    shown = chart(
        [Curve("", dots)], lines, under, f"{titled(metric)} against {under}: {dots[0].said} to {dots[-1].said}"
    )
    return figure(metric, label(known[0], metric), shown, table([under, "value", "95 % from", "to"], cells))


def titled(metric: Metric) -> str:
    """What stands above a figure: with the verifier's name, where there are several."""
    _, _, member = metric.name.partition("/")
    return f"{metric.title}: {member}" if member else metric.title


def figure(metric: Metric, beneath: str, shown: str, values: str, legend: Sequence[str] = ()) -> str:
    """A picture with its title, what the slider's budget reaches, and its numbers for those who cannot see it."""
    better = f' <span class="better">{metric.better} is better</span>' if metric.better else ""
    names = "".join(f"<li>{swatch(i)}{html.escape(name)}</li>" for i, name in enumerate(legend))
    listed = f'<ul class="legend">{names}</ul>' if names else ""
    return (
        f'<figure class="chart" data-metric="{html.escape(metric.name)}"><figcaption>'
        f"<strong>{html.escape(titled(metric))}</strong>{better}</figcaption>{shown}{listed}"
        f'<p class="now"></p><p class="note">{html.escape(beneath)}</p>'
        f"{folded(f'Values of {titled(metric)}', values)}</figure>"
    )
