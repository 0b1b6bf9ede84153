"""Finished runs that are compared: what each was, and the one judge of all."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from noise_search.errors import Refused
from noise_search.measures.judge import Judge, load_judge
from noise_search.measures.metric import Metric
from noise_search.report.combined import Rows, combine_runs, metrics_of
from noise_search.run.assemble import device_of
from noise_search.run.description import Description
from noise_search.run.reopen import reopen
from noise_search.storage.run_folder import finished_record


@dataclass(frozen=True)
class Runs:
    """Finished runs by series and seed. rows: of their combined curve; metrics: by name; judge: the one of all, with
    every run's further metrics; described: what each run was."""

    folders: Mapping[tuple[str, str], Path]
    rows: Rows
    metrics: Mapping[str, Metric]
    judge: Judge
    described: Mapping[Path, Description]

    def of_images(self, folder: Path) -> list[str]:
        """The metrics of images that a run has, in the order of its `measures`."""
        own = [metric.name for metric in self.described[folder].more_metrics.values()]
        more = {metric.name for run in self.described.values() for metric in run.more_metrics.values()}
        names = [metric.name for metric in self.judge.metrics if metric.of_images is not None]
        return [name for name in names if name not in more] + [name for name in own if name in names]


def opened(folders: list[Path], into: Path) -> Runs:
    if len(folders) < 2:
        raise Refused("compare: at least two finished runs")
    combine_runs(folders, into)
    with (into / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    by_run = dict.fromkeys((row["series"], row["seed"]) for row in rows)
    if len(by_run) != len(folders):
        raise Refused("compare: two of these runs have the same settings and seed; give each run once")
    records = [finished_record(folder) for folder in folders]
    if len(judges := sorted({record["choices"]["metrics"] for record in records})) > 1:
        raise Refused(f"compare: these runs were judged by {', '.join(judges)}: their numbers do not compare")
    described = {folder: reopen(folder) for folder in folders}
    device = device_of(described[folders[0]].settings.device)
    more = {metric.name: metric for run in described.values() for metric in run.more_metrics.values()}
    first = described[folders[0]]
    judge = load_judge(first.judge, device, first.dataset.texts, more.values())
    return Runs(dict(zip(by_run, folders, strict=True)), rows, metrics_of(records), judge, described)
