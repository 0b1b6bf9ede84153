"""Curves as inline SVG: a log x axis, interval bands, floors as dashed lines, every value told on hover."""

import html
import math
from collections.abc import Sequence
from typing import NamedTuple

from noise_search.report.figures import spaced

WIDTH, HEIGHT = 440, 270
LEFT, RIGHT, TOP, BOTTOM = 64, 14, 12, 44  # of the plot's margins
INKS = ("#0b5cad", "#b8470a", "#00755a", "#8a3a8a", "#6d5200", "#3f4650")  # 4.5 to 1 on white, told apart in grey too
DASHES = ("", "7 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2")
FLOOR = "#5f6670"


class Dot(NamedTuple):
    """x > 0: what was spent; y, low, high: a value and its interval, if any; key: of the slider; said: in words."""

    x: float
    y: float
    low: float | None
    high: float | None
    key: float
    said: str


class Curve(NamedTuple):
    name: str
    dots: Sequence[Dot]


class Scale(NamedTuple):
    """A linear map from low..high to from_..to; of values that are all the same, to the middle."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 1)


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers inside low..high, about so many, at a step of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def short(value: float) -> str:
    """A number on an axis."""
    if value and (abs(value) >= 1e6 or abs(value) < 1e-4):
        return f"{value:.3g}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{html.escape(words)}</text>'


def chart(curves: Sequence[Curve], floors: Sequence[tuple[str, float]], x_label: str, described: str) -> str:
    """One picture. floors: (name, value) of dashed lines. described: for those who do not see it.

    Each dot has its key in `data-k`: the page marks, on every curve, the dearest one that its slider affords.
    """
    dots = [dot for curve in curves for dot in curve.dots]
    seen = [v for dot in dots for v in (dot.y, dot.low, dot.high) if v is not None] + [value for _, value in floors]
    margin = 0.06 * (max(seen) - min(seen))
    spent = [math.log(dot.x) for dot in dots]
    across = Scale(min(spent), max(spent), LEFT + 12, WIDTH - RIGHT - 12)
    up = Scale(min(seen) - margin, max(seen) + margin, HEIGHT - BOTTOM, TOP)
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(described)}">'
        f"{axes(dots, across, up, x_label)}{dashed(floors, up)}"
        f"{''.join(drawn(curve, i, across, up) for i, curve in enumerate(curves))}{floor_names(floors, up)}</svg>"
    )


def axes(dots: Sequence[Dot], across: Scale, up: Scale, x_label: str) -> str:
    """Grid lines with their numbers, and what stands under them."""
    out = []
    for y in nice_ticks(up.low, up.high):
        out.append(
            f'<path class="grid" d="M{LEFT} {up(y)}H{WIDTH - RIGHT}"/>' + text(LEFT - 6, up(y) + 4, short(y), "end")
        )
    for x in spaced(sorted({dot.x for dot in dots}), 1.6):
        at = across(math.log(x))
        out.append(f'<path class="grid" d="M{at} {HEIGHT - BOTTOM}v4"/>' + text(at, HEIGHT - BOTTOM + 17, short(x)))
    out.append(f'<path class="axis" d="M{LEFT} {HEIGHT - BOTTOM}H{WIDTH - RIGHT}"/>')
    return "".join(out) + text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label)


def dashed(floors: Sequence[tuple[str, float]], up: Scale) -> str:
    """The lines of the floors."""
    line = f'<path d="M{LEFT} {{}}H{WIDTH - RIGHT}" stroke="{FLOOR}" stroke-dasharray="5 4"/>'
    return "".join(line.format(up(value)) for _, value in floors)


def floor_names(floors: Sequence[tuple[str, float]], up: Scale) -> str:
    """Over everything else; the names of two that lie close stand at the two ends of their lines."""
    out = []
    for i, (name, value) in enumerate(sorted(floors, key=lambda floor: -floor[1])):
        at, anchor = (LEFT + 4, "start") if i % 2 else (WIDTH - RIGHT - 2, "end")
        out.append(text(at, up(value) - 5, name, anchor))
    return "".join(out)


def drawn(curve: Curve, number: int, across: Scale, up: Scale) -> str:
    """A band, a line and its dots."""
    ink, dash = INKS[number % len(INKS)], DASHES[number % len(DASHES)]
    spots = [(across(math.log(dot.x)), up(dot.y), dot) for dot in curve.dots]
    banded = [(x, up(dot.low), up(dot.high)) for x, _, dot in spots if dot.low is not None and dot.high is not None]
    edge = [f"{x},{low}" for x, low, _ in banded] + [f"{x},{high}" for x, _, high in reversed(banded)]
    out = [f'<polygon points="{" ".join(edge)}" fill="{ink}" opacity=".14"/>'] if len(banded) > 1 else []
    line = " ".join(f"{x},{y}" for x, y, _ in spots)
    out.append(f'<polyline points="{line}" fill="none" stroke="{ink}" stroke-width="2" stroke-dasharray="{dash}"/>')
    for x, y, dot in spots:
        out.append(
            f'<g class="dot" data-k="{dot.key!r}" data-value="{dot.y!r}" fill="{ink}" stroke="{ink}">'
            f'<title>{html.escape(dot.said)}</title><circle cx="{x}" cy="{y}" r="11" class="reach"/>'
            f'<path class="rule" d="M{x} {TOP}V{HEIGHT - BOTTOM}"/><circle cx="{x}" cy="{y}" r="3.5"/></g>'
        )
    return f'<g class="curve">{"".join(out)}</g>'


def swatch(number: int) -> str:
    """The line of a curve, for a legend."""
    ink, dash = INKS[number % len(INKS)], DASHES[number % len(DASHES)]
    line = f'<path d="M0 6H28" stroke="{ink}" stroke-width="2.5" stroke-dasharray="{dash}"/>'
    return f'<svg class="swatch" viewBox="0 0 28 12" aria-hidden="true">{line}</svg>'
