"""Figures: one metric against NFE or seconds each, readable without the code."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from textwrap import fill
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullLocator

from noise_search.measures.metric import Metric
from noise_search.storage.atomic import replacing

INK, FLOOR = "#1f4e8c", "#8a8a8a"


def unknown(name: str) -> Metric:
    """A metric of which only the name is known, as in a run of an earlier version."""
    return Metric(name, name, name, "")


def label(row: dict[str, Any], metric: Metric) -> str:
    """What stands on the y axis: the metric, its network, the sample count, and a warning where it is biased."""
    network = f" ({row['network']})" if row["network"] else ""
    biased = "biased, " if metric.biased and row["n_images"] < 10_000 else ""
    return f"{metric.short}{network}, {biased}n = {row['n_images']:,}"


def title(metric: Metric) -> str:
    """What stands above a figure, with the direction where it is known, in lines that fit."""
    return fill(metric.title + (f" ({metric.better} is better)" if metric.better else ""), 72)


def spaced(values: Sequence[float], least: float = 1.3) -> list[float]:
    """Those of the growing values that are far enough apart on a log axis to be written under it."""
    kept: list[float] = []
    for value in values:
        if not kept or value >= least * kept[-1]:
            kept.append(value)
    return kept


def blank(width: float, height: float) -> Figure:
    """A figure of so many inches, for `save`. It is not pyplot's: nothing holds on to it."""
    return Figure((width, height), dpi=160)


def axis_label(x: str, row: Mapping[str, Any]) -> str:
    """What stands under an axis; seconds are nothing without the name of their device."""
    if x == "seconds":
        return f"seconds per image, {row['device']}"
    return "NFE per image" if x == "nfe" else "NFE per image, published convention"


def draw(
    axes: Axes, metric: Metric, rows: Sequence[dict[str, Any]], floors: Sequence[dict[str, Any]], x: str = "nfe"
) -> None:
    """One curve with its interval, and the floors of its metric as dashed lines."""
    known = [row for row in rows if row["value"] is not None]
    spent = [row[x] for row in known]
    axes.plot(spent, [row["value"] for row in known], "o-", color=INK, label=f"{rows[0]['algorithm']} search")
    banded = [row for row in known if row["ci_low"] is not None]
    if banded:
        low, high = ([row[key] for row in banded] for key in ("ci_low", "ci_high"))
        axes.fill_between([row[x] for row in banded], low, high, color=INK, alpha=0.15, lw=0, label="95 % interval")
    for floor in floors:
        if floor["metric"] == metric.name and floor["value"] is not None:
            style = {"real": "--", "reconstructed": ":"}[floor["kind"]]
            axes.axhline(floor["value"], color=FLOOR, ls=style, lw=1.2, label=f"{floor['kind']} images, same n")
    axes_of(axes, metric, rows[0], spent, x)


def axes_of(axes: Axes, metric: Metric, row: dict[str, Any], spent: Sequence[float], x: str) -> None:
    """Scales, ticks, labels and legend of a figure of a metric, as in row, against column x, whose values are spent."""
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    ticks = spaced(sorted(spent))
    axes.set_xticks(ticks, [f"{value:,}" if isinstance(value, int) else f"{value:.3g}" for value in ticks])
    axes.set_xlabel(axis_label(x, row))
    axes.set_ylabel(label(row, metric))
    axes.set_title(title(metric), fontsize=10)
    axes.grid(alpha=0.25, lw=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(framealpha=0.85, edgecolor="none", fontsize=8)


def figures(
    folder: Path,
    metrics: Mapping[str, Metric],
    rows: Sequence[dict[str, Any]],
    floors: Sequence[dict[str, Any]],
    x: str = "nfe",
) -> list[Path]:
    """Write folder/<metric>.png and .pdf for every metric that has a value, against column x; returns the PNGs."""
    written = []
    for name in dict.fromkeys(row["metric"] for row in rows):
        chosen = [row for row in rows if row["metric"] == name]
        if not any(row["value"] is not None for row in chosen):
            continue
        figure = blank(5.2, 3.6)
        draw(figure.subplots(), metrics.get(name) or unknown(name), chosen, floors, x)
        first = chosen[0]
        note = f"{first['model']}, {first['verifier']} verifier, CFG {first['cfg_scale']:g}, seed {first['seed']}"
        if first["reference"]:
            note += f"; reference: {first['reference']}"
        figure.supxlabel(note, fontsize=7, color="#555555")
        written.append(save(figure, folder, name))
    return written


def remove_figures(folder: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Those that `figures` drew of the same metrics before, of fewer images perhaps."""
    for name, suffix in product({row["metric"] for row in rows}, FORMS):
        (folder / f"{stem_of(name)}.{suffix}").unlink(missing_ok=True)


FORMS = ("png", "pdf", "svg")
SAME = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}  # the same figure, the same file


def stem_of(name: str) -> str:
    """A metric's name as that of a file."""
    return name.replace("/", "_")


def save(figure: Figure, folder: Path, name: str, forms: Sequence[str] = FORMS[:2]) -> Path:
    """Lay the figure out and write folder/<name>.png and .pdf, or other forms; returns the first."""
    stem = stem_of(name)
    ConstrainedLayoutEngine().execute(figure)  # once; as the figure's own, it would have it drawn twice for every file
    for suffix in forms:
        with replacing(folder / f"{stem}.{suffix}") as temporary, rc_context({"svg.hashsalt": stem}):
            figure.savefig(temporary, format=suffix, metadata=SAME[suffix])
    return folder / f"{stem}.{forms[0]}"
