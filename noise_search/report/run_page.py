"""report.html: what search bought in one run: images and curves under a slider, banks, shelves, the cost."""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from noise_search.measures.metric import Metric
from noise_search.report.bank import bank_of
from noise_search.report.figures import unknown
from noise_search.report.html import curve_figure, image, number, section, slider, table, titled, wide, write_page
from noise_search.report.pictures import Pictures, data_uri
from noise_search.report.shelves import Shelf

SHOWN_COLUMNS = ["image_id", "point", "condition", "candidate", "scores_final", "png"]
BANK_COLUMNS = ["image_id", "point", "bank", "sheet"]
ROWS = 10  # of the table for those without a script
KINDS = ("real", "reconstructed")


@dataclass(frozen=True)
class RunPage:
    """What a run's page is made of. metrics: by name; curve, floors, categories: rows of their CSV files; shown: rows
    of the first images, SHOWN_COLUMNS; banks: of the first `keep_bank`, BANK_COLUMNS at the largest point; columns: the
    verifiers of a bank; tell: (address, point) -> where a search found it, in words; names: of the classes, or the
    prompts; shelved: image id -> its picture; pictures: further PNG files."""

    title: str
    plan: str
    axis: str
    metrics: Mapping[str, Metric]
    curve: Sequence[dict[str, Any]]
    floors: Sequence[Mapping[str, Any]]
    shown: pa.Table
    names: Sequence[str]
    settings: str
    facts: Mapping[str, Any]
    tell: Callable[[int, int], str]
    categories: Sequence[Mapping[str, Any]] = ()
    banks: pa.Table | None = None
    columns: Sequence[str] = ()
    keep_bank: int = 0
    shelves: Sequence[Shelf] = ()
    shelved: Mapping[int, bytes] = field(default_factory=dict)
    pictures: Sequence[Path] = field(default_factory=list)

    @property
    def points(self) -> list[int]:
        return sorted({row["point"] for row in self.curve})

    @property
    def nfe(self) -> list[int]:
        found = {row["point"]: row["nfe"] for row in self.curve}
        return [found[point] for point in self.points]

    def metric(self, name: str) -> Metric:
        return self.metrics.get(name) or unknown(name)

    def rows_of(self, name: str) -> list[dict[str, Any]]:
        return [row for row in self.curve if row["metric"] == name]

    def images(self) -> list[list[dict[str, Any]]]:
        """The rows of each shown image, by point."""
        rows, each = self.shown.select(SHOWN_COLUMNS).to_pylist(), len(self.points)
        return [rows[at : at + each] for at in range(0, len(rows), each)]


def write_report(path: Path, page: RunPage) -> None:
    pictures = Pictures()
    images = page.images()
    numbers = [[pictures.add(row["png"]) for row in rows] for rows in images]
    shelves = [[pictures.add(page.shelved[item.image]) for item in shelf.items] for shelf in page.shelves]
    uris = pictures.uris()
    inline = {n for row in numbers[:ROWS] for n in row} | {n for row in shelves for n in row}
    named = set[int]()  # numbers of pictures that the script finds by their id
    parts = [
        summary(page),
        slider([float(nfe) for nfe in page.nfe]),
        section("Images", '<div class="shelf" id="images" hidden></div>' + note_without_script(page)),
        section("Curves", curves(page)),
        section("The same conditions at growing budgets", growing(page, images[:ROWS], numbers, uris, named), GROWING),
        *(shelf_section(shelf, own, uris, named) for shelf, own in zip(page.shelves, shelves, strict=True)),
        section("Between verifiers", "".join(figure_file(path) for path in page.pictures)),
        section("Values", values(page)),
        category_table(page.categories),
        section("What it cost", table(["", ""], [[k, number(v)] for k, v in page.facts.items()], "facts")),
        section("Plan", f'<pre tabindex="0">{html.escape(page.plan)}</pre>'),
        section(
            "Settings", f"<details><summary>config.yaml</summary><pre>{html.escape(page.settings)}</pre></details>"
        ),
        DIALOG,
    ]
    data = {
        "keys": list(range(len(page.nfe))),
        "told": [f"{nfe:,} NFE an image" for nfe in page.nfe],
        "uris": [None if n in inline else uri for n, uri in enumerate(uris)],
        "images": [told_image(page, rows, chosen) for rows, chosen in zip(images, numbers, strict=True)],
        "columns": list(page.columns),
        "banks": banks(page),
    }
    write_page(path, page.title, "\n".join(parts), data, pictures.width > 96)


GROWING = (
    "Each row starts from one noise; each column spends more on searching for a better one. A picture stands from the"
    " budget at which it was first chosen until a better one is found. Below it: its final verifier score."
)
DIALOG = (
    '<dialog id="bank" aria-labelledby="bank-title"><div class="head"><h2 id="bank-title"></h2>'
    '<button type="button" id="close">Close</button></div><div id="bank-body"></div></dialog>'
)


def note_without_script(page: RunPage) -> str:
    n = len({row["image_id"] for row in page.shown.select(["image_id"]).to_pylist()})
    return f"<noscript><p>A script shows the first {n} images here, at any budget; ten of them follow.</p></noscript>"


def summary(page: RunPage) -> str:
    """What the dearest budget reaches beside the cheapest, for a few metrics, and what to know of n."""
    n, tiles = page.curve[0]["n_images"], []
    names = list(dict.fromkeys(row["metric"] for row in page.curve))
    main = [name for name in names if name.split("/")[0] == "score_final"][:1]
    main += [name for name in names if name.split("/")[0] not in ("score", "score_final", "score_final_gain")][:5]
    for name in main:
        rows, metric = page.rows_of(name), page.metric(name)
        if rows[0]["value"] is None or rows[-1]["value"] is None or (metric.biased and n < 10_000):
            continue
        change = rows[-1]["value"] - rows[0]["value"]
        word = "better" if (change > 0) == (metric.better == "higher") else "worse"
        mark = f' <span class="{word}">{word}</span>' if metric.better and change else ""
        tiles.append(
            f"<li><span>{html.escape(titled(metric))}</span>"
            f"<strong>{number(rows[0]['value'])} → {number(rows[-1]['value'])}</strong>{mark}</li>"
        )
    spent = f"n = {n:,} images, from {page.nfe[0]:,} to {page.nfe[-1]:,} network evaluations (NFE) an image."
    return (
        f'<p>{spent}</p><ul class="tiles">{"".join(tiles[:4])}</ul><p class="note">{html.escape(warnings(page, n))}</p>'
    )


def warnings(page: RunPage, n: int) -> str:
    known = "No floors: too few held-out images are at hand (scripts/fetch_cifar10.py)."
    if page.floors:
        known = "Floors: as many held-out real images, and their reconstructions by the autoencoder where there is one."
    told = [page.metric(name) for name in dict.fromkeys(row["metric"] for row in page.curve)]
    biased = ", ".join(metric.title for metric in told if metric.biased and n < 10_000)
    if not biased:
        return known
    instead = "read the kernel distance instead" if page.rows_of("kernel_distance") else "compare at equal n only"
    return f"Strongly biased at this n: {biased}; {instead}. {known}"


def curves(page: RunPage) -> str:
    keys = {point: float(at) for at, point in enumerate(page.points)}
    names = dict.fromkeys(row["metric"] for row in page.curve)
    drawn = [curve_figure(page.metric(name), page.rows_of(name), page.floors, keys, page.axis) for name in names]
    return f'<div class="charts">{"".join(drawn)}</div>'


def growing(
    page: RunPage,
    images: Sequence[list[dict[str, Any]]],
    numbers: Sequence[Sequence[int]],
    uris: Sequence[str],
    named: set[int],
) -> str:
    """One line an image, one column a budget; a picture spans the budgets at which it is the choice."""
    head = "<tr><td></td>" + "".join(f'<th scope="col">{nfe:,} NFE</th>' for nfe in page.nfe) + "</tr>"
    lines = []
    for rows, own in zip(images, numbers, strict=False):
        cells, at, name = [], 0, page.names[rows[0]["condition"]]
        while at < len(own):
            end = next((later for later in range(at + 1, len(own)) if own[later] != own[at]), len(own))
            alt = f"{name}, chosen at {page.nfe[at]:,} NFE"
            score = ", ".join(number(float(v)) for v in rows[at]["scores_final"][:1])
            picture = image(own[at], uris, alt, named)
            cells.append(f'<td colspan="{end - at}">{picture}<span>{score}</span></td>')
            at = end
        lines.append(f'<tr><th scope="row"><span class="name">{html.escape(name)}</span></th>{"".join(cells)}</tr>')
    return wide(f'<table class="growing">{head}{"".join(lines)}</table>', "images at growing budgets")


def told_image(page: RunPage, rows: Sequence[Mapping[str, Any]], numbers: Sequence[int]) -> dict[str, Any]:
    """An image for the script: its number, name, pictures and scores by point, and where the search found each."""
    scores = [float(row["scores_final"][0]) if row["scores_final"] else None for row in rows]
    out = {"id": rows[0]["image_id"], "name": page.names[rows[0]["condition"]], "p": list(numbers)}
    out["s"] = [None if score is None or not np.isfinite(score) else round(score, 6) for score in scores]
    if rows[0]["image_id"] < page.keep_bank:
        out["way"] = [page.tell(row["candidate"], row["point"]) for row in rows]
        out["a"] = [row["candidate"] for row in rows]
    return out


def banks(page: RunPage) -> dict[int, Any]:
    """image id -> its bank for the script."""
    if page.banks is None or not page.columns:
        return {}
    rows = page.banks.to_pylist()
    return {row["image_id"]: bank_of(row, len(page.columns)) for row in rows if row["bank"] is not None}


def shelf_section(shelf: Shelf, numbers: Sequence[int], uris: Sequence[str], named: set[int]) -> str:
    """Chosen images in a row, each with why it stands here."""
    items = [
        f'<figure>{image(n, uris, item.name, named)}<figcaption><span class="name">{html.escape(item.name)}</span>'
        f"<small>{html.escape(item.why)}</small></figcaption></figure>"
        for item, n in zip(shelf.items, numbers, strict=True)
    ]
    return section(shelf.title, f'<div class="shelf">{"".join(items)}</div>' if items else "", shelf.note)


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
        lines.append([name, metric.title, metric.better, first["network"], *at, *ends])
    budgets = [f"{nfe:,} NFE" for nfe in page.nfe]
    return table(["metric", "", "better", "network", *budgets, *(f"floor: {kind}" for kind in KINDS)], lines, "values")


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
    return section("By category", table(["metric", "category", "images", *(f"{n:,} NFE" for n in nfe)], lines))
