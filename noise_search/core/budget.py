"""Budgets in NFE, and the plan: what each one buys, in closed form, before anything runs (paper, section 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from noise_search.core.checks import whole
from noise_search.core.draft import NOTHING, LeftOut
from noise_search.core.grid import LONGEST
from noise_search.errors import Refused

if TYPE_CHECKING:
    from noise_search.core.algorithm import Algorithm, Cost


@dataclass(frozen=True)
class Purchase:
    """One point of a curve. All NFE and rows are per image: search + final = nfe, for this budget run alone.

    scored: images that the search shows to the verifier. nfe_backward: evaluations that are also differentiated; in
    gflops each row of those counts three times more; gflops: None where the model's are not known. label: in names of
    files, "nfe000340", with the point where two cost the same. left_out: by drafts, already off rows and gflops.
    """

    point: int
    nfe: int
    nfe_paper: int
    nfe_search: int
    nfe_final: int
    scored: int
    nfe_backward: int
    network_rows: int
    gflops: float | None
    label: str
    left_out: LeftOut = NOTHING


@dataclass(frozen=True)
class Budget:
    """search_nfe: c, NFE of one search iteration; final_nfe: NFE of the final generation; both >= 1.

    Totals per image in nfe (the algorithm buys the most it can at or under each), or points of the algorithm's own
    axis (N, K or M), not both. Where neither is given: default_nfe, less those totals that buy nothing more.
    """

    search_nfe: int
    final_nfe: int
    nfe: tuple[int, ...] | None = None
    points: tuple[int, ...] | None = None
    default_nfe: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("search_nfe", "final_nfe"):
            if not whole(value := getattr(self, name)) or not 1 <= value <= LONGEST:
                raise Refused(f"budget.{name}={value}: a whole number, at least 1, at most {LONGEST}")
        if self.nfe is not None and self.points is not None:
            raise Refused(f"budget.nfe={self.nfe} budget.points={self.points}: give one of them")
        for name in ("nfe", "points", "default_nfe"):
            values = getattr(self, name)
            if values is None:
                continue
            values = list(values) if isinstance(values, list | tuple) else [values]
            if not values or not all(map(whole, values)) or values != sorted(set(values)) or values[0] < 0:
                raise Refused(f"budget.{name}={values}: growing whole numbers from 0 on, at least one")
            object.__setattr__(self, name, tuple(values))

    def with_search_nfe(self, search_nfe: int) -> Budget:
        return replace(self, search_nfe=search_nfe)

    def cost(self, algorithm: Algorithm, point: int) -> Cost:
        return algorithm.cost(point, self.search_nfe, self.final_nfe)

    def total(self, algorithm: Algorithm, point: int) -> int:
        cost = self.cost(algorithm, point)
        return cost.search + cost.final

    def most(self, algorithm: Algorithm, nfe: int, key: str = "budget.nfe") -> int:
        """The largest point whose total is at or under `nfe`, which stands at `key`."""
        least = min(self.total(algorithm, 0), self.total(algorithm, 1))
        if nfe < least:
            what = f"the final generation, budget.final_nfe={least}" if least == self.final_nfe else f"{least} NFE"
            raise Refused(f"{key}={nfe}: below {what}, the least of {algorithm.name}")
        return largest(lambda point: self.total(algorithm, point) <= nfe, f"the cost of {algorithm.name}")

    def bought(self, algorithm: Algorithm) -> list[int]:
        """The points of the curve. A total that the user gave and that buys nothing more is refused."""
        if self.points is not None:
            free = [point for point in self.points if not self.cost(algorithm, point).search]
            totals = [self.total(algorithm, point) for point in free]
            for i, total in enumerate(totals[1:]):
                if total == totals[i]:
                    both = " and ".join(map(str, free[i : i + 2]))
                    raise Refused(f"budget.points={list(self.points)}: {both} cost the same {total} NFE, no search")
            return list(self.points)
        points: list[int] = []
        for nfe in self.nfe or self.default_nfe or ():
            point = self.most(algorithm, nfe, "budget.nfe" if self.nfe is not None else "budget.default_nfe")
            if points and point == points[-1]:
                if self.nfe is None:
                    continue
                least = self.total(algorithm, point + 1)
                raise Refused(
                    f"budget.nfe={nfe}: buys nothing more than a smaller one does"
                    f" ({algorithm.name} with {point}); the next point costs {least}"
                )
            points.append(point)
        if not points:
            raise Refused("budget: give budget.nfe=[...] or budget.points=[...]; there is no budget.default_nfe")
        return points

    def purchases(
        self, algorithm: Algorithm, each: int, multiply_adds: int | None, left_out: LeftOut = NOTHING
    ) -> list[Purchase]:
        """What each budget buys, in growing order. each: network rows of one evaluation; left_out: by the draft of a
        candidate."""
        out, points = [], self.bought(algorithm)
        totals = [self.total(algorithm, point) for point in points]
        for point, nfe in zip(points, totals, strict=True):
            cost = self.cost(algorithm, point)
            less = left_out.times(cost.search // self.search_nfe)
            rows = each * nfe - less.rows
            work = (rows + 3 * each * cost.backward) * multiply_adds - less.multiply_adds if multiply_adds else None
            gflops = 2 * work / 1e9 if work is not None else None
            label = f"nfe{nfe:06d}" + (f"-point{point}" if totals.count(nfe) > 1 else "")
            out.append(Purchase(point, nfe, cost.paper, cost.search, cost.final, *cost[3:], rows, gflops, label, less))
        return out


def largest(affordable: Callable[[int], bool], what: str) -> int:
    """The largest point, from 0 on, that is affordable. what: must grow with the points, or nothing is the largest."""
    low, high = 0, 1
    while affordable(high):
        if high > 2**200:
            raise Refused(f"{what} does not grow with its points")
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if affordable(middle) else (low, middle)
    return low


@dataclass(frozen=True)
class Plan:
    """purchases, and the bill of the whole sweep in NFE an image: the search exactly, the final part between bounds;
    sweep_scored: images that its search shows to the verifier; sweep_renders: winners, between bounds."""

    series: str
    purchases: list[Purchase]
    sweep_search: int
    sweep_scored: int
    sweep_backward: int
    sweep_final: tuple[int, int]
    sweep_renders: tuple[int, int]
    each: int  # network rows of one evaluation
    sweep_left_out: LeftOut  # of the search, by its drafts
    multiply_adds: int | None  # of a network row

    def rows(self, images: int) -> tuple[int, int]:
        """Network rows of the sweep over `images` images: least and most."""
        low, high = (self.search_rows + self.each * final for final in self.sweep_final)
        return images * low, images * high

    @property
    def search_rows(self) -> int:
        """Network rows of the search of an image."""
        return self.each * self.sweep_search - self.sweep_left_out.rows

    @property
    def search_work(self) -> float:
        """As many whole network rows as the search of an image is worth."""
        less = self.sweep_left_out.multiply_adds / self.multiply_adds if self.multiply_adds else 0.0
        return self.search_rows - less + 3 * self.each * self.sweep_backward

    def text(self, images: int, expected: str, notes: Sequence[str] = ()) -> str:
        """For a person: one line a budget, then the bill, the expected time in words, and the notes."""
        lines = [f"plan: {self.series}, {images} images", "  point      nfe  (search + final)  nfe_paper  network_rows"]
        for p in self.purchases:
            parts = f"({p.nfe_search} + {p.nfe_final})"
            lines.append(f"  {p.point:>5} {p.nfe:>8}  {parts:<16}  {p.nfe_paper:>9}  {p.network_rows:>12}")
        low, high = self.rows(images)
        lines.append(
            f"  whole sweep: {self.sweep_search} NFE an image to search, {self.sweep_final[0]} to {self.sweep_final[1]}"
            f" to render its winners; {low:,} to {high:,} network rows in all"
        )
        backward = 3 * images * self.each * self.sweep_backward
        if backward:
            lines.append(f"  and {self.sweep_backward} of them an image differentiated, at three times their price")
        if self.sweep_left_out.multiply_adds and self.multiply_adds:
            less = self.sweep_left_out.multiply_adds / self.multiply_adds
            lines.append(f"  drafts leave out as much of them as {images * less:,.0f} rows")
        lines.append(f"  {expected}")
        return "\n".join([*lines, *(f"  {note}" for note in notes)])

    def network_time(self, images: int, rows_per_second: float | None) -> str:
        """What is expected of the network alone, where no device has been measured."""
        if rows_per_second is None:
            return "expected: not known before the model's rate is measured (model.rows_per_second=null)"
        seconds = [images * (self.search_work + self.each * f) / rows_per_second for f in self.sweep_final]
        unit, name = (60, "minutes") if seconds[1] < 7200 else (3600, "hours")
        time = " to ".join(f"{value / unit:,.1f}" for value in seconds)
        return f"expected: {time} {name} of network time at {rows_per_second:.0f} rows/s (model.rows_per_second)"


def make_plan(
    series: str,
    algorithm: Algorithm,
    budget: Budget,
    each: int,
    multiply_adds: int | None,
    left_out: LeftOut = NOTHING,
) -> Plan:
    """The closed-form cost of one curve. An anytime algorithm pays for its largest search only.

    each: network rows of one evaluation; left_out: by the draft of a candidate.
    """
    purchases = budget.purchases(algorithm, each, multiply_adds, left_out)
    together = max if algorithm.anytime else sum
    search = together(p.nfe_search for p in purchases)
    finals = [p.nfe_final for p in purchases]
    return Plan(
        series,
        purchases,
        search,
        together(p.scored for p in purchases),
        together(p.nfe_backward for p in purchases),
        (together(finals), sum(finals)),
        (1 if algorithm.anytime else len(finals), len(finals)),
        each,
        left_out.times(search // budget.search_nfe),
        multiply_adds,
    )
