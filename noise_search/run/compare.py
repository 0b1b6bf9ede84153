"""Finished runs side by side: one tidy table of every point, tables at equal cost, and paired differences."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from noise_search.errors import Refused
from noise_search.measures.judge import Judge, load_judge
from noise_search.measures.metric import Metric
from noise_search.measures.paired import Difference, jackknifed, paired_bootstrap
from noise_search.report.combined import Rows, combine_runs, metrics_of
from noise_search.report.comparison import (
    COSTS,
    Table,
    budget_name,
    dominance,
    heading,
    latex,
    lines_of,
    markdown,
    tables,
)
from noise_search.report.figures import unknown
from noise_search.report.gallery import IMAGES, Shown, write_gallery
from noise_search.report.run_content import SHOWN_COLUMNS
from noise_search.run.assemble import device_of
from noise_search.run.description import Description
from noise_search.run.evaluate import Measured, measured
from noise_search.run.reopen import reopen
from noise_search.storage.atomic import replacing, write_text
from noise_search.storage.curve_csv import write_csv
from noise_search.storage.run_folder import finished_record
from noise_search.storage.units import read_units

log = logging.getLogger("noise_search")
PAIRED = ("metric", "nfe", "a", "b", "a_point", "b_point", "seeds", *Difference._fields, "method")
BOOTSTRAP = "paired bootstrap over images, 10,000 resamples"
JACKKNIFE = "delete-a-group jackknife over images, 10 groups"


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


def compare(folders: list[Path], into: Path) -> list[Path]:
    """Write gallery.html, comparison.csv, .parquet, .md and .tex, paired.csv and the combined figures; returns what was
    written."""
    runs = opened(folders, into)
    tidy(runs.rows, into)
    pairs = list(paired(runs))
    write_csv(into / "paired.csv", pairs, PAIRED)
    text, tex = ["# Comparison\n"], list[str]()
    for axis, name in COSTS.items():
        usable, why = rows_on(runs.rows, axis)
        if why:
            text.append(f"## At equal {name}\n\n{why}\n")
            continue
        text.append(f"## At equal {name} an image\n\nThe dearest point of each run within the budget.\n")
        for table in tables(usable, axis):
            told, made = written(table, runs, usable)
            text.append(told)
            tex.append(made)
    text.append(paired_text(pairs))
    write_text(into / "comparison.md", "\n".join(text))
    write_text(into / "comparison.tex", "\n".join(tex))
    write_gallery(into / "gallery.html", runs.rows, runs.metrics, sides(runs))
    tables_of = [into / f"comparison.{form}" for form in ("md", "tex", "csv", "parquet")]
    return [into / "gallery.html", *tables_of, into / "paired.csv"]


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


def tidy(rows: Rows, into: Path) -> None:
    """Every point of every run, for whoever draws for himself: numbers are numbers in the Parquet file."""
    (into / "curve.csv").rename(into / "comparison.csv")
    columns = {}
    for name in rows[0]:
        cells = [row[name] or None for row in rows]
        columns[name] = pa.array(cells if name in WORDS else [cell and float(cell) for cell in cells])
    with replacing(into / "comparison.parquet") as temporary:
        pq.write_table(pa.table(columns), temporary)


WORDS = ("series", "model", "dataset", "algorithm", "verifier", "device", "metric", "network", "reference", "weights")


def rows_on(rows: Rows, axis: str) -> tuple[Rows, str]:
    """The rows that have a value, or why there is no table at equal `axis`."""
    known = [row for row in rows if row["value"]]
    if axis == "seconds" and len(devices := sorted({row["device"] for row in known})) > 1:
        return [], f"No table: seconds of {'; '.join(devices)} do not compare."
    if not all(row[axis] for row in known):
        return [], f"No table: not every run knows its {COSTS[axis]}."
    return known, ""


def written(table: Table, runs: Runs, rows: Rows) -> tuple[str, str]:
    """A table as Markdown, with who dominates whom, and as LaTeX."""
    metric = runs.metrics.get(table.metric) or unknown(table.metric)
    of_metric = [row for row in rows if row["metric"] == table.metric]
    networks = " and ".join(dict.fromkeys(row["network"] for row in of_metric))
    images = sorted({int(row["n_images"]) for row in of_metric})
    label = f"{networks}, n = {' and '.join(f'{n:,}' for n in images)}"
    if table.axis == "seconds":
        label += f", {of_metric[0]['device']}"
    title, lines = heading(table, metric, label), lines_of(table)
    header = [COSTS[table.axis], *map(budget_name, table.budgets)]
    told = f"### {title}\n\n{markdown(header, lines)}\n"
    if metric.biased and images[0] < 10_000:
        told += "\nStrongly biased at this n: compare equal n only.\n"
    if len(networks.split(" and ")) > 1:
        told += "\nThese are different scales, each of its own network.\n"
    elif above := dominance(table, metric.better):
        told += (
            "\nBy the means, never worse and somewhere better: " + "; ".join(f"{a} than {b}" for a, b in above) + ".\n"
        )
    return told, latex(header, lines, title)


def paired(runs: Runs) -> Iterator[dict[str, Any]]:
    """Rows of paired.csv: each pair of series at each budget in NFE, on the images of the seeds that both have."""
    of_sets = {m.name: m for m in runs.judge.metrics if m.of_set is not None and not m.biased}
    of_images = {m.name for m in runs.judge.metrics if m.of_images is not None}
    for table in tables([row for row in runs.rows if row["value"]], "nfe"):
        name = table.metric
        if not (name in of_sets or name in of_images or name.split("/")[0] == "score_final"):
            continue
        for a, b in combinations(table.series, 2):
            both = [x for x in table.budgets if (a, x) in table.cells and (b, x) in table.cells]
            points = {(table.cells[a, x].point, table.cells[b, x].point): x for x in reversed(both)}
            for (p, q), budget in reversed(points.items()):
                sides = list(shared_images(runs, name, (a, p), (b, q)))
                if not sides:
                    continue
                if name in of_sets:
                    found, method = sets_apart(of_sets[name], sides), JACKKNIFE
                else:
                    first, second = (
                        np.concatenate([numbers(runs, name, s) for s in side]) for side in zip(*sides, strict=True)
                    )
                    better = (runs.metrics.get(name) or unknown(name)).better
                    found, method = paired_bootstrap(first, second, better), BOOTSTRAP
                if found is not None:
                    told = {"metric": name, "nfe": f"{budget:g}", "a": a, "b": b, "a_point": p, "b_point": q}
                    yield told | {"seeds": len(sides), "method": method} | found._asdict()


class Side(NamedTuple):
    """One run at one point. seen: of the images that it shares with the other."""

    folder: Path
    seen: Measured


def shared_images(runs: Runs, name: str, a: tuple[str, int], b: tuple[str, int]) -> Iterator[tuple[Side, Side]]:
    """Of each seed that both series have; none where they look through different networks, or at other conditions."""
    networks = {row["network"] for row in runs.rows if row["metric"] == name and row["series"] in (a[0], b[0])}
    seeds = [seed for series, seed in runs.folders if series == a[0] and (b[0], seed) in runs.folders]
    for seed in seeds if len(networks) == 1 else ():
        folders = runs.folders[a[0], seed], runs.folders[b[0], seed]
        images = min(finished_record(folder)["images"] for folder in folders)
        first, second = (read(folder, images, point) for folder, (_, point) in zip(folders, (a, b), strict=True))
        if (first.condition == second.condition).all():
            yield Side(folders[0], first), Side(folders[1], second)


@lru_cache(64)
def read(folder: Path, images: int, point: int) -> Measured:
    return measured(folder, images, point)


def numbers(runs: Runs, name: str, side: Side) -> np.ndarray:
    """float64 [N]: what a metric of images, or a verifier in the end, says of each."""
    if name in (names := runs.of_images(side.folder)):
        return side.seen.measures[:, names.index(name)]
    member = name.removeprefix("score_final").removeprefix("/")
    return side.seen.scores_final[:, runs.described[side.folder].verifier.members.index(member)]


def sets_apart(metric: Metric, sides: Sequence[tuple[Side, Side]]) -> Difference | None:
    """The mean difference over seeds; its interval puts the seeds' own together, which are independent."""
    found = []
    for first, second in sides:

        def measure(rows: np.ndarray, sets: tuple[Side, Side] = (first, second)) -> tuple[float, float]:
            assert metric.of_set is not None
            values = [metric.of_set(s.seen.features[rows], s.seen.condition[rows]).value for s in sets]
            return float(values[0] or 0.0), float(values[1] or 0.0)

        if (one := jackknifed(measure, len(first.seen.condition))) is None:
            return None
        found.append(one)
    mean = float(np.mean([d.difference for d in found]))
    half = float(np.sqrt(sum((d.ci_high - d.difference) ** 2 for d in found if d.ci_high is not None))) / len(found)
    return Difference(mean, mean - half, mean + half, sum(d.images for d in found))


def paired_text(pairs: list[dict[str, Any]]) -> str:
    """The paired differences at the largest budget of each pair, as Markdown."""
    if not pairs:
        return "## Paired differences\n\nNone: these runs share no images of the same condition and seed.\n"
    last = {(row["metric"], row["a"], row["b"]): row for row in pairs}
    header = ["metric", "NFE", "a", "b", "a - b", "95 % interval", "p", "a better / equal / worse", "images"]
    lines = []
    for row in last.values():
        wins = "" if row["wins"] is None else f"{row['wins']} / {row['ties']} / {row['losses']}"
        interval = "" if row["ci_low"] is None else f"{row['ci_low']:.4g} to {row['ci_high']:.4g}"
        p = "" if row["p"] is None else f"{row['p']:.2g}"
        start = [row["metric"], row["nfe"], row["a"], row["b"], f"{row['difference']:.4g}"]
        lines.append([*start, interval, p, wins, f"{row['images']:,}"])
    told = (
        f"Means over images: {BOOTSTRAP}; p: two-sided. Numbers of sets: {JACKKNIFE}, without p. No correction for many"
        " comparisons. paired.csv has every budget."
    )
    return f"## Paired differences on shared images\n\n{told}\n\n{markdown(header, lines)}\n"
