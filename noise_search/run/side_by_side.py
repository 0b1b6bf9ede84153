"""The same images of several runs, for their gallery."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from noise_search.report.gallery import IMAGES, Shown
from noise_search.report.run_content import SHOWN_COLUMNS
from noise_search.run.compared_runs import Runs
from noise_search.run.description import Description
from noise_search.storage.run_folder import finished_record
from noise_search.storage.units import read_units


def sides(runs: Runs) -> list[Shown]:
    """The first images of one run of each series, by its first seed; those that show the same in all of them."""
    first: dict[str, Path] = {}
    for (series, _), folder in runs.folders.items():
        first.setdefault(series, folder)
    count = min(IMAGES, *(finished_record(folder)["images"] for folder in first.values()))
    found = {name: read_units(folder, SHOWN_COLUMNS, count).to_pylist() for name, folder in first.items()}
    conditions = [{row["image_id"]: row["condition"] for row in rows} for rows in found.values()]
    ids = [i for i in range(count) if len({own[i] for own in conditions}) == 1]
    return [shown(runs.described[first[name]], name, rows, ids) for name, rows in found.items()]


def shown(run: Description, name: str, rows: list[dict[str, Any]], ids: list[int]) -> Shown:
    """rows: of the run's images, by id, then point."""
    nfe = {purchase.point: purchase.nfe for purchase in run.plan.purchases}
    each = {i: [row for row in rows if row["image_id"] == i] for i in ids}
    return Shown(
        name,
        [nfe[row["point"]] for row in each[ids[0]]] if ids else [],
        ids,
        [run.dataset.texts[each[i][0]["condition"]] for i in ids],
        [[row["png"] for row in each[i]] for i in ids],
        [[round(float(row["scores_final"][0]), 6) for row in each[i]] for i in ids],
    )
