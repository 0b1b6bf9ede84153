"""The leaderboard's file: a JSON object a line, a number of one method at one budget (docs/how-to/leaderboard.md)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from noise_search.core.checks import finite, whole
from noise_search.errors import Refused
from noise_search.storage.atomic import write_text

SCHEMA = 1
UNITS = ("nfe", "gflops", "seconds")
KEY = ("model", "dataset", "method", "verifier", "command", "images", "seeds", "unit", "budget", "metric")


@dataclass(frozen=True)
class Row:
    """method: the algorithm, with its draft where it has one. unit: of budget and cost, an image: nfe, gflops or
    seconds. budget: what was allowed; cost: what was spent, at most that. point: of the method's own axis. metric,
    network: what was measured, through what; better: higher or lower. ci_low, ci_high: 95 %, null: none is to be had.
    difference, diff_low, diff_high: of value to random search's at the same budget, on the same images; null: not
    compared. seeds: of the noises, `images` of each. weights: file -> sha256. device: whose seconds. origin: board, of
    scripts/leaderboard.py, or submitted, of `noise-search submit`.
    """

    model: str
    dataset: str
    method: str
    verifier: str
    unit: str
    budget: float
    cost: float
    point: int
    metric: str
    network: str
    better: str
    value: float
    ci_low: float | None
    ci_high: float | None
    difference: float | None
    diff_low: float | None
    diff_high: float | None
    images: int
    seeds: tuple[int, ...]
    device: str
    weights: dict[str, str]
    commit: str
    command: str
    origin: str
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        def need(name: str, good: bool, allowed: str) -> None:
            if not good:
                raise Refused(f"leaderboard row: {name}={getattr(self, name)!r}: {allowed}")

        need("schema", self.schema == SCHEMA, f"{SCHEMA}")
        need("unit", self.unit in UNITS, f"one of {', '.join(UNITS)}")
        need("better", self.better in ("higher", "lower"), "higher or lower")
        need("origin", self.origin in ("board", "submitted"), "board or submitted")
        for name in ("model", "dataset", "method", "verifier", "metric", "commit", "command"):
            need(name, isinstance(getattr(self, name), str) and bool(getattr(self, name)), "a text")
        for name in ("budget", "cost", "value"):
            need(name, finite(getattr(self, name)), "a finite number")
        for name in ("ci_low", "ci_high", "difference", "diff_low", "diff_high"):
            need(name, getattr(self, name) is None or finite(getattr(self, name)), "a finite number or null")
        need("cost", 0 <= self.cost <= self.budget * (1 + 1e-9), f"from 0 to the budget, {self.budget}")
        need("point", whole(self.point) and self.point >= 0, "a whole number from 0 on")
        need("images", whole(self.images) and self.images >= 1, "a whole number, at least 1")
        seeds = tuple(self.seeds) if isinstance(self.seeds, list | tuple) else ()
        need("seeds", bool(seeds) and all(map(whole, seeds)), "whole numbers, at least one")
        object.__setattr__(self, "seeds", seeds)
        known = isinstance(self.weights, dict) and all(isinstance(v, str) for v in self.weights.values())
        need("weights", known, "sha256 by name of file")

    @property
    def key(self) -> tuple[Any, ...]:
        """Two rows with the same are of the same number."""
        return tuple(getattr(self, name) for name in KEY)


def rounded(value: float) -> float:
    """Six digits: what a number is worth keeping to."""
    return float(f"{value:.6g}")


def read_rows(path: Path) -> list[Row]:
    """All rows of a file, none where there is no file; the first line that is no row is refused."""
    rows, names = list[Row](), {field.name for field in fields(Row)}
    lines = path.read_text().splitlines() if path.is_file() else []
    for number, line in enumerate(lines, 1):
        try:
            content = json.loads(line)
            if not isinstance(content, dict) or set(content) != names:
                off = set(content) ^ names if isinstance(content, dict) else "not an object"
                raise Refused(f"a row has {', '.join(sorted(names))}; here is {off}")
            rows.append(Row(**content))
        except ValueError as error:
            raise Refused(f"{path}, line {number}: {error}") from error
    return rows


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    write_text(path, "".join(json.dumps(asdict(row), separators=(",", ":")) + "\n" for row in rows))


def added(there: list[Row], new: list[Row], path: Path) -> list[Row]:
    """Both together; a number that is there already is refused."""
    known = {row.key for row in there}
    if again := [row for row in new if row.key in known]:
        row = again[0]
        raise Refused(
            f"{path} has it already: {row.method} with {row.verifier}, {row.unit}={row.budget:g}, {row.metric}"
        )
    return there + new
