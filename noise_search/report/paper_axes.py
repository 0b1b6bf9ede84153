"""One panel of a figure of the paper on its axes: curves, bars or dots, of runs and as published."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from noise_search.report.combined import at_point
from noise_search.report.figures import spaced
from noise_search.report.paper_panels import NAMES, TWIN_WORDS, Bars, Gains, Panel, Scatter
from noise_search.report.paper_points import AXES, Line, alike, bars_of, curves, gains_of, scored_by_both
from noise_search.report.published import TWINS, Point

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # told apart without red and green
MARKERS = "osD^vP"
NO_RUN = "no run yet"
GLUE = "\xa0"  # a space that no line is broken at


def draw_curves(axes: Axes, panel: Panel | Gains, line: Line, axis: str) -> None:
    """Curves of runs, the mean over seeds with the range between them, and published points as hollow markers."""
    if isinstance(panel, Gains):
        ours, theirs = gains_of(panel, line.ours), gains_of(panel, line.theirs)
        axes.set_ylabel("gain over one image, %", fontsize=7)
    else:
        ours, theirs = curves(panel, line.ours, line), curves(panel, line.theirs, line)
    names = list(dict.fromkeys([*theirs, *ours]))
    for i, name in enumerate(names):
        style: dict[str, Any] = {
            "color": COLOURS[i % len(COLOURS)],
            "marker": MARKERS[i % len(MARKERS)],
            "ms": 4,
            "lw": 1.4,
        }
        if here := [point for point in theirs.get(name, ()) if axis in point.x]:
            spent, values = zip(*sorted((point.x[axis], point.value) for point in here), strict=True)
            axes.plot(spent, values, mfc="none", ls=":" if name in ours else "-", label=name, **style)
        if name in ours:
            draw_ours(axes, name, ours[name], axis, style)
    axes.set_title(
        titled(own_words(panel.title, line), [point for curve in ours.values() for point in curve]), fontsize=8
    )
    dress(axes, axis)


def own_words(title: str, line: Line) -> str:
    """A panel's title; of other models than the paper's with their parts in place of its."""
    words = "|".join(map(re.escape, TWIN_WORDS))
    return title if line.paper else re.sub(rf"\b({words})\b", lambda word: TWIN_WORDS[word.group()], title)


def titled(title: str, points: Sequence[Point]) -> str:
    """What a panel shows; under it of runs the network that their numbers are from, and how many images."""
    networks = dict.fromkeys(point.told["network"] for point in points if point.told)
    sizes = dict.fromkeys(f"n{GLUE}={GLUE}{point.images:,}" for point in points if point.images)
    below = fill(", ".join([*filter(None, networks), *sizes]), 38).replace(GLUE, " ")
    return "\n".join(filter(None, (title, below)))


def draw_bars(axes: Axes, panel: Bars, line: Line) -> None:
    """Groups of bars: what each search did to every metric, or in every category. Published: hollow, behind."""
    ours, theirs = bars_of(panel, line.ours), bars_of(panel, line.theirs)
    names = list(dict.fromkeys([*theirs, *ours]))
    groups = list(dict.fromkeys(group for bars in (*theirs.values(), *ours.values()) for group in bars))
    if not names:
        axes.set_title(own_words(panel.title, line), fontsize=8)
        nothing(axes, NO_RUN)
        return
    listed = enumerate(panel.where.get(panel.varies, ()))  # a choice has one colour in all panels, a twin its paper's
    places = {label: k for k, choice in listed for label in (NAMES.get(choice, choice), TWINS.get(choice, choice))}
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        colour, at = (
            COLOURS[places.get(name, i) % len(COLOURS)],
            np.arange(len(groups)) + (i - (len(names) - 1) / 2) * width,
        )
        if name in theirs:
            heights = [np.mean(theirs[name].get(group, [np.nan])) for group in groups]
            axes.bar(at, heights, width * 0.9, fill=False, edgecolor=colour, label=None if name in ours else name)
        if name in ours:
            each = [ours[name].get(group, [np.nan]) for group in groups]
            means = [float(np.mean(values)) for values in each]
            axes.bar(at, means, width * 0.75, color=colour, alpha=0.85, label=name)
            low, high = ([abs(f(values) - mean) for values, mean in zip(each, means, strict=True)] for f in (min, max))
            axes.errorbar(at, means, [low, high], fmt="none", ecolor="#222222", elinewidth=0.8)
    axes.set_xticks(range(len(groups)), groups, rotation=20 if len(groups) > 3 else 0)
    axes.set_ylabel(panel.unit, fontsize=7)
    ours_of = [point for metric in panel.groups for point in line.ours if point.metric == metric]
    axes.set_title(titled(own_words(panel.title, line), alike(ours_of, panel.where, panel.varies)), fontsize=8)
    axes.tick_params(labelsize=7)
    axes.axhline(0, color="#222222", lw=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top + (0.25 if len(names) < 5 else 0.4) * (top - bottom))  # the legend stands above all bars
    axes.legend(framealpha=0.85, edgecolor="none", fontsize=6.5, ncols=2, loc="upper left")


def draw_scatter(axes: Axes, panel: Scatter, line: Line) -> None:
    """Scores of first candidates, one dot an image; what was published is r alone."""
    found, title = scored_by_both(panel, line.folders), [own_words(panel.title, line)]
    if line.paper:
        title.append(f"r = {panel.r:.2f} published")
    for i, (scale, scores) in enumerate(found.items()):
        told = f"CFG {scale:g}: r = {np.corrcoef(scores.T)[0, 1]:.2f}, n = {len(scores):,}"
        style: dict[str, Any] = {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}
        axes.scatter(scores[:, 0], scores[:, 1], s=10, alpha=0.6, lw=0, label=told, **style)
    if found:
        key(axes)
    axes.set_title("\n".join(title), fontsize=8)
    if not found:
        nothing(axes, "its points were not published" if line.paper else NO_RUN)
    axes.set_xlabel("similarity of image and early prediction", fontsize=7)
    axes.set_ylabel("logit of the class", fontsize=7)
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def key(axes: Axes) -> None:
    """The legend, behind the points: where no corner is free, it hides none."""
    axes.legend(framealpha=0.85, edgecolor="none", fontsize=6.5).set_zorder(0.5)


def nothing(axes: Axes, words: str) -> None:
    """A panel that stays empty says why, and shows no axes."""
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha="center", color="#555555", fontsize=8)


def draw_ours(axes: Axes, name: str, points: Sequence[Point], axis: str, style: dict[str, Any]) -> None:
    """One curve: the mean over the seeds of every point, and the range between them. A single seed is told as such."""
    by_point: dict[int | None, list[tuple[float, float]]] = defaultdict(list)
    for point in points:
        if axis in point.x:
            by_point[point.point].append((point.x[axis], point.value))
    if not by_point:
        return
    spent, each = zip(*sorted(map(at_point, by_point.values())), strict=True)
    seeds = len({point.seed for point in points})
    label = f"{name}, {seeds} seed{'s' * (seeds > 1)}"
    axes.plot(spent, [np.mean(values) for values in each], label=label, **style)
    if seeds > 1:
        low, high = ([bound(values) for values in each] for bound in (min, max))
        axes.fill_between(spent, low, high, color=style["color"], alpha=0.2, lw=0)


def dress(axes: Axes, axis: str) -> None:
    """Scales, ticks and labels that can be read at a column's width."""
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    spent = sorted({float(x) for curve in axes.lines for x in np.asarray(curve.get_xdata())})
    ticks = spaced(spent, 2.0)
    axes.set_xticks(ticks, [f"{tick:,.3g}" if tick < 1000 else f"{tick / 1000:.3g}k" for tick in ticks])
    axes.tick_params(labelsize=7)
    axes.set_xlabel(AXES[axis], fontsize=7)
    axes.grid(alpha=0.25, lw=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        key(axes)
    else:
        nothing(axes, NO_RUN)
