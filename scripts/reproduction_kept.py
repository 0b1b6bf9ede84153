"""Kept runs of the reproduction: their numbers, seeds put together."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from noise_search.measures.judge import load_judge
from noise_search.measures.paired import Difference, paired_bootstrap
from noise_search.run.reopen import reopen
from noise_search.storage.curve_csv import numbers
from noise_search.storage.run_folder import finished_record
from noise_search.storage.units import read_units
from scripts.reproduction_claims import Claim, Place


class Number(NamedTuple):
    """A mean over seeds; low, high: the mean of their 95 % intervals' ends, NaN: there are none."""

    nfe: int
    point: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g}" + ("" if np.isnan(self.low) else f" [{self.low:.3g}, {self.high:.3g}]")


class Kept:
    """Kept runs of a folder, by name and seed."""

    def __init__(self, folder: Path) -> None:
        self.runs = {path.name: path for path in sorted(folder.iterdir()) if (path / "run.json").is_file()}
        self.rows = {name: numbers(path / "curve.csv") for name, path in self.runs.items()}
        self.judged: dict[str, list[str]] = {}

    def seeds(self, name: str, verifier: str = "") -> list[str]:
        """The folders of a run's seeds, read under its own verifier or another."""
        end = f"-{verifier}" if verifier else ""
        return [
            run for run in self.runs if run.startswith(f"{name}-s") and run[len(name) + 2 :].strip("0123456789") == end
        ]

    def curve(self, place: Place, metric: str) -> list[Number]:
        """Its points, those that all seeds have, by growing cost."""
        found: dict[int, list[Number]] = {}
        names = self.seeds(place.run, place.verifier)
        for row in (row for name in names for row in self.rows[name] if row["metric"] == metric and row["value"]):
            told = (float(row[key] or "nan") for key in ("value", "ci_low", "ci_high"))
            found.setdefault(int(row["point"]), []).append(Number(int(row["nfe"]), int(row["point"]), *told))
        whole = [np.mean(each, 0).tolist() for each in found.values() if len(each) == len(names)]
        return sorted(Number(int(nfe), int(point), *rest) for nfe, point, *rest in whole)

    def at(self, place: Place, metric: str, nfe: int | None = None) -> Number | None:
        """The number at a place's point: "first", "last", "best" of a distance, "equal": the dearest up to `nfe`,
        or the dearest up to so many NFE as it says."""
        curve = self.curve(place, metric)
        if place.point.isdigit():
            return max((number for number in curve if number.nfe <= int(place.point)), default=None)
        if place.point == "equal":
            curve = [number for number in curve if nfe is not None and number.nfe <= nfe]
        if place.point == "best":
            return min(curve, key=lambda number: number.value, default=None)
        return curve[0 if place.point == "first" else -1] if curve else None

    def images(self, place: Place, metric: str, point: int) -> np.ndarray | None:
        """float64 [images of all seeds]: what a verifier in the end, or a metric of images, says of each; None: it is a
        number of the whole set."""
        each = [self.of_images(name, metric, point) for name in self.seeds(place.run, place.verifier)]
        known = [values for values in each if values is not None]
        return np.concatenate(known) if known and len(known) == len(each) else None

    def of_images(self, name: str, metric: str, point: int) -> np.ndarray | None:
        """float64 [images] of one run, by their ids; None: as above."""
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

    def difference(self, claim: Claim, a: Number, b: Number) -> Difference | None:
        """b - a, image by image; None: a number of the whole set, or not of the same seeds."""
        first, second = self.images(claim.b, claim.metric, b.point), self.images(claim.a, claim.metric, a.point)
        if first is None or second is None or len(first) != len(second):
            return None
        return paired_bootstrap(first, second, claim.expected)


def is_final(metric: str) -> bool:
    """A verifier's score of the final images, in the order of `scores_final`."""
    return metric == "score_final" or metric.startswith("score_final/")
