"""The images of a run's page: at growing budgets, on shelves, and what the script needs to move them."""

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from noise_search.report.bank import bank_of
from noise_search.report.html import image, number, section, wide
from noise_search.report.run_content import RunPage
from noise_search.report.shelves import Shelf


def note_without_script(page: RunPage) -> str:
    n = len({row["image_id"] for row in page.shown.select(["image_id"]).to_pylist()})
    return f"<noscript><p>A script shows the first {n} images here, at any budget; ten of them follow.</p></noscript>"


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
