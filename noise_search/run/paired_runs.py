"""Paired differences of runs on the images that they share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from noise_search.measures.metric import Metric
from noise_search.measures.paired import Difference, jackknifed, paired_bootstrap
from noise_search.report.comparison import Written, tables
from noise_search.report.figures import unknown
from noise_search.run.compared_runs import Runs
from noise_search.run.evaluate import Measured, measured
from noise_search.storage.run_folder import finished_record

PAIRED = ("metric", "nfe", "a", "b", "a_point", "b_point", "seeds", *Difference._fields, "method")
BOOTSTRAP = "paired bootstrap over images, 10,000 resamples"
JACKKNIFE = "delete-a-group jackknife over images, 10 groups"


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


def paired_table(pairs: list[dict[str, Any]], metrics: Mapping[str, Metric]) -> Written:
    """The paired differences at the largest budget of each pair."""
    last = {(row["metric"], row["a"], row["b"]): row for row in pairs}
    header = ["metric", "better", "NFE", "a", "b", "a - b", "95 % interval", "p", "a better / equal / worse", "images"]
    lines = []
    for row in last.values():
        wins = "" if row["wins"] is None else f"{row['wins']} / {row['ties']} / {row['losses']}"
        interval = "" if row["ci_low"] is None else f"{row['ci_low']:.4g} to {row['ci_high']:.4g}"
        p = "" if row["p"] is None else f"{row['p']:.2g}"
        better = (metrics.get(row["metric"]) or unknown(row["metric"])).better
        start = [row["metric"], better, row["nfe"], row["a"], row["b"], f"{row['difference']:.4g}"]
        lines.append([*start, interval, p, wins, f"{row['images']:,}"])
    told = (
        f"Means over images: {BOOTSTRAP}; p: two-sided. Numbers of sets: {JACKKNIFE}, without p. No correction for many"
        " comparisons. paired.csv has every budget."
    )
    return Written("Paired differences on shared images", header, lines, [told])
