"""What the paper published, as data: digitised curves (607 points, about 1 %) and tables 1 to 3."""

from __future__ import annotations

import csv
from functools import cache
from typing import NamedTuple

from noise_search.assets import asset

MULTIPLY_ADDS = {"sit_b_2": 23.01, "sit_l_2": 80.71, "sit_xl_2": 118.64}  # 1e9 a network row, as the paper counts
TWINS = {  # the embedded parts that play the roles of the paper's
    "sit_xl_2": "sit_cifar10",
    "dino": "classifier",
    "clip": "classifier_b",
    "dino_ssl": "classifier_ssl",
    "clip_ssl": "classifier_b_ssl",
    "flux_dev": "scenes",
    "aesthetic": "scenes_aesthetic",
    "clipscore": "scenes_clip",
    "imagereward": "scenes_oracle",
    "ensemble_text": "scenes_ensemble",
}
PAPER_MODELS = (*MULTIPLY_ADDS, "flux_dev", "pixart_sigma", "sdxl", "sdxl_dpo")
GROUPS = ("model", "algorithm", "verifier")
OWN = {twin: name for name, twin in TWINS.items()}


class Point(NamedTuple):
    """One number at one budget. part: group -> the choice, and metric: both by the names of the paper's whose roles
    they play; setting: what else runs of a figure differ in; x: of each axis that is known. Of a run, None of a
    published number: seed; images: how many; point: of its algorithm's axis; told: its own choices and its own metric
    (under "metric"), with the network and reference that it was taken on."""

    part: dict[str, str]
    setting: dict[str, float]
    metric: str
    x: dict[str, float]
    value: float
    seed: int | None = None
    images: int | None = None
    point: int | None = None
    told: dict[str, str] | None = None

    def name(self, group: str) -> str:
        """The choice of a group, or "metric", by its own name where it is a run's."""
        if self.told is not None:
            return self.told[group]
        return self.metric if group == "metric" else self.part[group]


@cache
def published(figure: str) -> tuple[Point, ...]:
    """The digitised points of a figure ("6"); none of 8, 12 and 14."""
    with asset("published_curves.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["figure"] == figure]
    return tuple(point(row, ("cfg_scale", "search_nfe")) for row in rows)


@cache
def published_table(table: str) -> tuple[Point, ...]:
    """The numbers of a table ("2"), of its search and of none (verifier "none"); of table 1 "benchmark, category"."""
    with asset("published_tables.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["table"] == table]
    for row in rows if table == "1" else ():
        row["metric"] = f"benchmark, {row['metric']}"
    return tuple(point(row) for row in rows)


def point(row: dict[str, str], settings: tuple[str, ...] = ()) -> Point:
    part, setting = {group: row[group] for group in GROUPS}, {key: float(row[key]) for key in settings}
    return Point(part, setting, row["metric"], x_of(row["model"], float(row["nfe_paper"])), float(row["value"]))


def x_of(model: str, nfe: float) -> dict[str, float]:
    """The paper counts only what a figure of it has on its axis: NFE by its conventions, and GFLOPs of them."""
    each = MULTIPLY_ADDS.get(model)
    return {"nfe_paper": nfe} | ({"gflops": nfe * each} if each else {})
