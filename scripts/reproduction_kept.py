"""Kept runs of the reproduction: their numbers, seeds put together, and what is held against each other."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import t

from noise_search.measures.judge import load_judge
from noise_search.measures.paired import Difference, paired_bootstrap
from noise_search.run.reopen import reopen
from noise_search.storage.curve_csv import numbers
from noise_search.storage.run_folder import finished_record
from noise_search.storage.units import read_units
from scripts.reproduction_claims import Claim, Place


class Number(NamedTuple):
    """A mean over seeds; low, high: its 95 % interval over images, NaN: there is none."""

    nfe: int
    point: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g}" + ("" if np.isnan(self.low) else f" [{self.low:.3g}, {self.high:.3g}]")


class Held(NamedTuple):
    """What a claim holds against each other, over the seeds that both have. apart: b - a, None: not to be had."""

    a: Number
    b: Number
    seeds: list[int]
    apart: Difference | None


class Kept:
    """Kept runs of a folder, by name and seed."""

    def __init__(self, folder: Path) -> None:
        self.runs = {path.name: path for path in sorted(folder.iterdir()) if (path / "run.json").is_file()}
        self.rows = {name: numbers(path / "curve.csv") for name, path in self.runs.items()}
        self.judged: dict[str, list[str]] = {}

    def seeds(self, place: Place) -> dict[int, str]:
        """Seed -> folder of a run, read under its own verifier or another."""
        named = re.compile(
            re.escape(place.run) + r"-s(\d+)" + re.escape(f"-{place.verifier}" if place.verifier else "")
        )
        return {int(found[1]): run for run in self.runs if (found := named.fullmatch(run))}

    def held(self, claim: Claim) -> Held | None:
        """Both numbers of a claim; None where one of its runs was not made."""
        seeds = sorted(self.seeds(claim.a).keys() & self.seeds(claim.b).keys())
        b = self.at(claim.b, claim.metric, seeds)
        a = self.at(claim.a, claim.metric, seeds, b and b.nfe)
        return None if a is None or b is None else Held(a, b, seeds, self.difference(claim, a, b, seeds))

    def at(self, place: Place, metric: str, seeds: Collection[int], nfe: int | None = None) -> Number | None:
        """The number at a place's point: "first", "last", "best" of a distance, "equal": the dearest up to `nfe`,
        or the dearest up to so many NFE as it says."""
        curve = self.curve(place, metric, seeds)
        if place.point.isdigit():
            return max((number for number in curve if number.nfe <= int(place.point)), default=None)
        if place.point == "equal":
            curve = [number for number in curve if nfe is not None and number.nfe <= nfe]
        if place.point == "best":
            return min(curve, key=lambda number: number.value, default=None)
        return curve[0 if place.point == "first" else -1] if curve else None

    def curve(self, place: Place, metric: str, seeds: Collection[int]) -> list[Number]:
        """Its points, those that all of these seeds have, by growing cost."""
        found: dict[int, list[Number]] = {}
        for seed in seeds:
            for number in self.curve_of_seed(place, metric, seed):
                found.setdefault(number.point, []).append(number)
        return sorted(mean_over_seeds(each) for each in found.values() if len(each) == len(seeds))

    def curve_of_seed(self, place: Place, metric: str, seed: int) -> list[Number]:
        rows = [row for row in self.rows[self.seeds(place)[seed]] if row["metric"] == metric and row["value"]]
        told = [[float(row[key] or "nan") for key in ("value", "ci_low", "ci_high")] for row in rows]
        return [Number(int(row["nfe"]), int(row["point"]), *values) for row, values in zip(rows, told, strict=True)]

    def difference(self, claim: Claim, a: Number, b: Number, seeds: Sequence[int]) -> Difference | None:
        """b - a, image by image; of a number of the whole set seed by seed. None: with one seed alone."""
        first, second = (
            [self.of_images(self.seeds(place)[seed], claim.metric, number.point) for seed in seeds]
            for place, number in ((claim.b, b), (claim.a, a))
        )
        images = [x - y for x, y in zip(first, second, strict=True) if x is not None and y is not None]
        if len(images) == len(seeds):
            apart = np.concatenate(images)
            return paired_bootstrap(apart, np.zeros(len(apart)), claim.expected)
        return over_seeds(
            [
                self.of_set(claim.b, claim.metric, b, seed) - self.of_set(claim.a, claim.metric, a, seed)
                for seed in seeds
            ]
        )

    def of_set(self, place: Place, metric: str, number: Number, seed: int) -> float:
        return next(n.value for n in self.curve_of_seed(place, metric, seed) if n.point == number.point)

    def of_images(self, name: str, metric: str, point: int) -> np.ndarray | None:
        """float64 [images] of one run, by their ids: what a verifier in the end, or a metric of images, says of each;
        None: it is a number of the whole set."""
        finals = [n for n in dict.fromkeys(row["metric"] for row in self.rows[name]) if is_final(n)]
        measures = self.metrics_of_images(self.runs[name])
        for column, names in (("scores_final", finals), ("measures", measures)):
            if metric in names:
                table = read_units(self.runs[name], ["image_id", "point", column], point=point).sort_by("image_id")
                return np.array(table[column].to_pylist(), np.float64)[:, names.index(metric)]
        return None

    def metrics_of_images(self, run: Path) -> list[str]:
        """The names of the run's judge's, in the order of `measures`."""
        choice = finished_record(run)["choices"]["metrics"]
        if choice not in self.judged:
            described = reopen(run)
            metrics = load_judge(described.judge, "cpu", described.dataset.texts).metrics
            self.judged[choice] = [metric.name for metric in metrics if metric.of_images is not None]
        return self.judged[choice]


def mean_over_seeds(each: Sequence[Number]) -> Number:
    """Of one point. Their noises are independent: half-widths add in quadrature."""
    nfe, point, value, low, high = np.array(each).T
    half = float(np.linalg.norm(high - low)) / 2 / len(each)
    mean = float(value.mean())
    return Number(round(nfe.mean()), int(point[0]), mean, mean - half, mean + half)


def over_seeds(differences: Sequence[float]) -> Difference | None:
    """Their mean, and its 95 % interval by Student's t; None of one alone."""
    n = len(differences)
    if n < 2:
        return None
    mean, half = np.mean(differences), t.ppf(0.975, n - 1) * np.std(differences, ddof=1) / n**0.5
    return Difference(float(mean), float(mean - half), float(mean + half), n)


def is_final(metric: str) -> bool:
    """A verifier's score of the final images, in the order of `scores_final`."""
    return metric == "score_final" or metric.startswith("score_final/")
