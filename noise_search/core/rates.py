"""How fast a device is at every stage of a run, and what a plan will take on it. Torch is not needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from noise_search.core.budget import Plan
from noise_search.core.checks import finite


@dataclass(frozen=True)
class Rates:
    """Per second, on `device`: network rows, latents decoded, candidates that the verifier scores, finished images that
    verifier and judge look at."""

    device: str
    network: float
    decode: float
    verify: float
    judge: float

    def __post_init__(self) -> None:
        for name in ("network", "decode", "verify", "judge"):
            if not finite(getattr(self, name)) or getattr(self, name) <= 0:
                raise ValueError(f"{name}={getattr(self, name)}: a number above 0")


class Expected(NamedTuple):
    """Seconds of a sweep by its parts; between bounds where they depend on how many winners are the same."""

    search: float
    final: tuple[float, float]
    judge: tuple[float, float]

    @property
    def most(self) -> float:
        return self.search + self.final[1] + self.judge[1]

    def text(self, device: str) -> str:
        spans = ("search", (self.search,) * 2), ("final generation", self.final), ("judge", self.judge)
        return f"expected: {', '.join(f'{told(span)} of {name}' for name, span in spans)} (measured on {device})"


def told(seconds: tuple[float, float]) -> str:
    """Two bounds in one unit, one number where they are the same."""
    units = (3600, "hours"), (60, "minutes"), (1, "seconds")
    unit, name = next((unit for unit in units if seconds[1] >= 2 * unit[0]), units[-1])
    return f"{' to '.join(dict.fromkeys(f'{value / unit:.3g}' for value in seconds))} {name}"


def expected(plan: Plan, images: int, rates: Rates, views: int) -> Expected:
    """Of `images` images; views: clean predictions that the verifier reads of each candidate."""
    search = plan.search_work / rates.network
    search += plan.sweep_scored * ((1 + views) / rates.decode + 1 / rates.verify)
    low, high = (
        (images * (plan.each * nfe / rates.network + renders / rates.decode), images * renders / rates.judge)
        for nfe, renders in zip(plan.sweep_final, plan.sweep_renders, strict=True)
    )
    return Expected(images * search, (low[0], high[0]), (low[1], high[1]))
