"""A budget in minutes: the grid of points that fits into so much time on the device that a run begins on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from noise_search.core.algorithm import Algorithm
from noise_search.core.budget import Budget
from noise_search.core.checks import require
from noise_search.core.grid import LONGEST
from noise_search.errors import Refused


@dataclass(frozen=True, kw_only=True)
class TimeBudget(Budget):
    """minutes: of all of a run's images, above 0: search, final generations and the judge, with every winner another.

    Totals an image double in what they search: final_nfe and 2, 4, 8, ... iterations more. How many of them fit is not
    known before a device is measured; until then it buys the first two.
    """

    minutes: float

    def __post_init__(self) -> None:
        for name in ("nfe", "points", "default_nfe"):
            if getattr(self, name) is not None:
                raise Refused(f"budget.{name}={getattr(self, name)}: with budget.minutes the clock says what is bought")
        require("minutes", self.minutes, self.minutes > 0, "above 0")
        object.__setattr__(self, "default_nfe", self.totals(1))
        super().__post_init__()

    def with_search_nfe(self, search_nfe: int) -> TimeBudget:
        return replace(self, search_nfe=search_nfe, default_nfe=None)

    def totals(self, doublings: int) -> tuple[int, ...]:
        return (self.final_nfe, *(self.final_nfe + 2**k * self.search_nfe for k in range(1, doublings + 1)))

    def buys(self, algorithm: Algorithm, seconds: Callable[[Budget], float]) -> Budget:
        """The longest grid that fits. seconds: what all that a budget buys will take."""
        best, doublings = None, 0
        while self.totals(doublings)[-1] <= LONGEST:
            points = Budget(self.search_nfe, self.final_nfe, default_nfe=self.totals(doublings)).bought(algorithm)
            budget = Budget(self.search_nfe, self.final_nfe, points=tuple(points))
            if (needed := seconds(budget)) > 60 * self.minutes:
                break
            best, doublings = budget, doublings + 1
        if best is None:
            raise Refused(f"budget.minutes={self.minutes}: no search at all takes {needed / 60:.2g} minutes already")
        return best
