"""The head of a run's page: what its dearest budget reaches beside its cheapest, and what to beware of."""

import html
import math
from collections.abc import Mapping
from typing import Any

from noise_search.measures.metric import Metric
from noise_search.report.html import number, titled
from noise_search.report.run_content import RunPage

TILES = 6  # at most


def summary(page: RunPage) -> str:
    """What the dearest budget reaches beside the cheapest, for a few metrics, and what to know of n."""
    n, tiles = page.curve[0]["n_images"], []
    names = list(dict.fromkeys(row["metric"] for row in page.curve))
    main = [name for name in names if name.split("/")[0] == "score_final"][:1]
    main += [name for name in names if name.split("/")[0] not in ("score", "score_final", "score_final_gain")]
    for name in main:
        rows, metric = page.rows_of(name), page.metric(name)
        if rows[0]["value"] is None or rows[-1]["value"] is None or (metric.biased and n < 10_000):
            continue
        word = verdict(metric, rows[0], rows[-1])
        mark = f' <span class="{word}">{word}</span>' if word else ""
        tiles.append(
            f"<li><span>{html.escape(titled(metric))}</span>"
            f"<strong>{number(rows[0]['value'])} → {number(rows[-1]['value'])}</strong>{mark}</li>"
        )
    spent = f"n = {n:,} images, from {page.nfe[0]:,} to {page.nfe[-1]:,} network evaluations (NFE) an image."
    words = f"Better, worse: where 95 % intervals leave no doubt. {warnings(page, n)}"
    note = f'<p class="note">{html.escape(words)}</p>'
    return f'<p>{spent}</p><ul class="tiles">{"".join(tiles[:TILES])}</ul>{note}'


def verdict(metric: Metric, first: Mapping[str, Any], last: Mapping[str, Any]) -> str:
    """Is the last better or worse, where the two intervals, taken as independent, leave no doubt; "" elsewhere."""
    if not metric.better or first["ci_high"] is None or last["ci_high"] is None:
        return ""
    change = last["value"] - first["value"]
    if abs(change) <= math.hypot(*(row["ci_high"] - row["value"] for row in (first, last))):
        return ""
    return "better" if (change > 0) == (metric.better == "higher") else "worse"


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
