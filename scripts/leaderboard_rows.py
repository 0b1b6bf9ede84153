"""The leaderboard's rows from the scores that its runs have kept."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from noise_search.measures.board import UNITS, Row, rounded
from noise_search.measures.paired import paired_bootstrap
from noise_search.measures.scores import half_width
from noise_search.storage.run_folder import read_json
from scripts.leaderboard_jobs import BOARDS, Board

MODELLED = "modelled from measured rates"
NETWORKS = {"own_class": "judge's probe", "kernel_distance": "judge"}  # the score's is its verifier


class Entry(NamedTuple):
    """A method with a verifier, its seeds together. content: as leaderboard_runs.kept wrote it."""

    method: str
    verifier: str
    content: dict[str, Any]

    @property
    def points(self) -> list[dict[str, Any]]:
        return self.content["points"]  # type: ignore[no-any-return]


def entries(scores: Path, model: str) -> tuple[list[Entry], list[dict[str, Any]]]:
    """What was kept of a model, and which methods could not take which verifier, and why."""
    found = [read_json(path) for path in sorted((scores / model).glob("*.json"))]
    refused = [one for one in found if "refused" in one]
    return [Entry(one["method"], one["verifier"], one) for one in found if "refused" not in one], refused


def seconds(cost: dict[str, float], rates: dict[str, Any], verifier: str, gflops_row: float) -> float:
    """Modelled: network rows, candidates decoded and seen, and the image decoded; a candidate through which a gradient
    goes has its decoder and verifier run about three times."""
    look = rates["decode"] + rates["verify"][verifier]
    rows = cost["gflops"] / gflops_row
    shown = cost["scored"] + 2 * cost["differentiated"]
    return float(rows * rates["row"] + shown * look + cost["finished"] * rates["decode"])


def with_seconds(entry: Entry, rates: dict[str, Any], gflops_row: float) -> list[dict[str, Any]]:
    return [
        p | {"cost": p["cost"] | {"seconds": seconds(p["cost"], rates, entry.verifier, gflops_row)}}
        for p in entry.points
    ]


def dearest(points: list[dict[str, Any]], unit: str, budget: float) -> dict[str, Any] | None:
    """The dearest point within the budget."""
    within = [p for p in points if p["cost"][unit] <= budget * (1 + 1e-9)]
    return max(within, key=lambda p: p["cost"][unit], default=None)


def numbers(
    point: dict[str, Any], against: dict[str, Any] | None
) -> Iterator[tuple[str, str, tuple[float | None, ...]]]:
    """(metric, better, value, its interval, difference to random search, its interval) of all images together."""
    for name, seeds in point["scores"].items():
        own, other = joined(seeds), joined(against["scores"].get(name, ())) if against else ()
        yield name, "higher", of_images(own, other)
    yield "kernel_distance", "lower", distance(point["kid"], against and against["kid"])


def joined(seeds: list[list[float]]) -> tuple[float, ...]:
    return tuple(value for values in seeds for value in values)


@cache
def of_images(own: tuple[float, ...], other: tuple[float, ...]) -> tuple[float | None, ...]:
    """Mean of numbers of images, with its interval; difference to others' of the same images, with its interval."""
    half = 1.96 * float(np.std(own, ddof=1)) / len(own) ** 0.5
    mean = float(np.mean(own))
    if not other:
        return mean, mean - half, mean + half, None, None, None
    found = paired_bootstrap(np.array(own), np.array(other), "higher")
    return mean, mean - half, mean + half, found.difference, found.ci_low, found.ci_high


def distance(own: list[float], other: list[float] | None) -> tuple[float | None, ...]:
    """KID and its difference, intervals by a jackknife over ten groups; none below twenty images."""
    (value, *left), ends, apart = own, (None, None), (None, None, None)
    if left:
        half = half_width(np.array(left))
        ends = value - half, value + half
    if other is not None:
        difference = value - other[0]
        half = half_width(np.array(left) - np.array(other[1:])) if left else None
        apart = (difference, *((None, None) if half is None else (difference - half, difference + half)))
    return value, *ends, *apart


def rows_of_model(board: Board, scores: Path, rates: dict[str, Any], commit: str) -> Iterator[Row]:
    """All of a model: for each verifier and unit at random search's five budgets."""
    found, _ = entries(scores, board.model)
    for verifier in board.verifiers:
        own = {entry.method: entry for entry in found if entry.verifier == verifier}
        if "random" not in own:
            continue
        first = own["random"].points[0]["cost"]
        gflops_row = first["gflops"] / first["nfe"]  # of an evaluation: nothing is left out, no gradient
        points = {name: with_seconds(entry, rates, gflops_row) for name, entry in own.items()}
        for unit in UNITS:
            budgets = [p["cost"][unit] for p in points["random"]]
            for entry in own.values():
                for budget in budgets:
                    yield from rows_at(entry, points, unit, budget, rates["device"], commit)


def rows_at(
    entry: Entry, points: dict[str, list[dict[str, Any]]], unit: str, budget: float, device: str, commit: str
) -> Iterator[Row]:
    """A method's rows at one budget; none where it can buy nothing so cheap."""
    point, against = dearest(points[entry.method], unit, budget), dearest(points["random"], unit, budget)
    if point is None:
        return
    content = entry.content
    for metric, better, values in numbers(point, None if entry.method == "random" else against):
        network = entry.verifier if metric == "score" else NETWORKS.get(metric, "judge")
        value, low, high, difference, diff_low, diff_high = (None if v is None else rounded(v) for v in values)
        assert value is not None
        yield Row(
            model=content["model"],
            dataset=next(board.dataset for board in BOARDS.values() if board.model == content["model"]),
            method=entry.method,
            verifier=entry.verifier,
            unit=unit,
            budget=rounded(budget),
            cost=min(rounded(point["cost"][unit]), rounded(budget)),
            point=point["point"],
            metric=metric,
            network=network,
            better=better,
            value=value,
            ci_low=low,
            ci_high=high,
            difference=difference,
            diff_low=diff_low,
            diff_high=diff_high,
            images=content["images"],
            seeds=tuple(content["seeds"]),
            device=f"{device}, {MODELLED}" if unit == "seconds" else "",
            weights=content["weights"],
            commit=commit,
            command=f"noise-search {content['command']}",
            origin="board",
        )


def all_rows(scores: Path, rates: dict[str, Any], commit: str) -> list[Row]:
    """Of every board that has runs and rates."""
    return [
        row
        for board in BOARDS.values()
        if board.model in rates
        for row in rows_of_model(board, scores, rates[board.model], commit)
    ]
