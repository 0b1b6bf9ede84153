"""Kept runs of the reproduction: their numbers, seeds put together."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from noise_search.storage.curve_csv import numbers
from scripts.reproduction_claims import Place


class Number(NamedTuple):
    """A mean over seeds; low, high: the mean of their 95 % intervals' ends, NaN: there are none."""

    nfe: int
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
            found.setdefault(int(row["point"]), []).append(Number(int(row["nfe"]), *told))
        whole = [np.mean(each, 0).tolist() for each in found.values() if len(each) == len(names)]
        return sorted(Number(int(nfe), *rest) for nfe, *rest in whole)

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
