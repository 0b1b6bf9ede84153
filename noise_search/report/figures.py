"""Figures: one metric against NFE each, readable without the code."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from noise_search.storage.atomic import replacing

TITLES = {
    "score": "verifier score of the search pass",
    "score_final": "verifier score of the final image",
    "score_final_gain": "gain in final verifier score over the first budget",
    "inception_score": "inception score",
    "class_accuracy": "images given their own class",
    "kernel_distance": "kernel distance (KID)",
    "frechet_distance": "Frechet distance",
    "fid": "Frechet inception distance (FID)",
    "sfid": "Frechet distance of spatial features (sFID)",
    "fd_dinov2": "Frechet distance (FD-DINOv2)",
    "precision": "precision",
    "recall": "recall",
}
SHORT = {
    "score": "score",
    "score_final": "score",
    "score_final_gain": "gain",
    "inception_score": "IS",
    "class_accuracy": "share",
    "frechet_distance": "FD",
    "fid": "FID",
    "sfid": "sFID",
    "fd_dinov2": "FD",
    "kernel_distance": "KID",
}
FRECHET = ("frechet_distance", "fid", "sfid", "fd_dinov2")
BETTER = dict.fromkeys((*FRECHET, "kernel_distance"), "lower")
INK, FLOOR = "#1f4e8c", "#8a8a8a"


def kind(metric: str) -> str:
    """score_final/classifier -> score_final."""
    return metric.split("/")[0]


def label(row: dict[str, Any]) -> str:
    """What stands on the y axis: the metric, its network, the sample count, and a warning where it is biased."""
    name = SHORT.get(kind(row["metric"]), row["metric"])
    biased = "biased, " if row["metric"] in FRECHET and row["n_images"] < 10_000 else ""
    return f"{name} ({row['network']}), {biased}n = {row['n_images']:,}"


def spaced(values: Sequence[int], least: float = 1.3) -> list[int]:
    """Those of the growing values that are far enough apart on a log axis to be written under it."""
    kept: list[int] = []
    for value in values:
        if not kept or value >= least * kept[-1]:
            kept.append(value)
    return kept


def draw(axes: Axes, rows: Sequence[dict[str, Any]], floors: Sequence[dict[str, Any]], x: str = "nfe") -> None:
    """One curve with its interval, and the floors of its metric as dashed lines."""
    metric = rows[0]["metric"]
    known = [row for row in rows if row["value"] is not None]
    nfe = [row[x] for row in known]
    axes.plot(nfe, [row["value"] for row in known], "o-", color=INK, label=f"{rows[0]['algorithm']} search")
    banded = [row for row in known if row["ci_low"] is not None]
    if banded:
        low, high = ([row[key] for row in banded] for key in ("ci_low", "ci_high"))
        axes.fill_between([row[x] for row in banded], low, high, color=INK, alpha=0.15, lw=0, label="95 % interval")
    for floor in floors:
        if floor["metric"] == metric and floor["value"] is not None:
            style = {"real": "--", "reconstructed": ":"}[floor["kind"]]
            axes.axhline(floor["value"], color=FLOOR, ls=style, lw=1.2, label=f"{floor['kind']} images, same n")
    axes_of(axes, rows[0], nfe, x)


def axes_of(axes: Axes, row: dict[str, Any], nfe: Sequence[int], x: str) -> None:
    """Scales, ticks, labels and legend of a figure of row's metric against column x, whose values are nfe."""
    axes.set_xscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    ticks = spaced(nfe)
    axes.set_xticks(ticks, [f"{value:,}" for value in ticks])
    axes.set_xlabel("NFE per image" if x == "nfe" else "NFE per image, published convention")
    axes.set_ylabel(label(row))
    axes.set_title(f"{TITLES[kind(row['metric'])]} ({BETTER.get(row['metric'], 'higher')} is better)", fontsize=10)
    axes.grid(alpha=0.25, lw=0.5)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(framealpha=0.85, edgecolor="none", fontsize=8)


def figures(
    folder: Path, rows: Sequence[dict[str, Any]], floors: Sequence[dict[str, Any]], x: str = "nfe"
) -> list[Path]:
    """Write folder/<metric>.png and .pdf for every metric that has a value, against column x; returns the PNGs."""
    written = []
    order = list(TITLES)
    for metric in sorted({row["metric"] for row in rows}, key=lambda name: (order.index(kind(name)), name)):
        chosen = [row for row in rows if row["metric"] == metric]
        if not any(row["value"] is not None for row in chosen):
            continue
        figure, axes = plt.subplots(figsize=(5.2, 3.6), layout="constrained")
        draw(axes, chosen, floors, x)
        first = chosen[0]
        note = f"{first['model']}, {first['verifier']} verifier, CFG {first['cfg_scale']:g}, seed {first['seed']}"
        if first["reference"]:
            note += f"; reference: {first['reference']}"
        figure.supxlabel(note, fontsize=7, color="#555555")
        written.append(save(figure, folder, metric))
    return written


def save(figure: Figure, folder: Path, name: str) -> Path:
    """Write folder/<name>.png and .pdf, close the figure; returns the PNG."""
    stem = name.replace("/", "_")
    for suffix in ("png", "pdf"):
        with replacing(folder / f"{stem}.{suffix}") as temporary:
            figure.savefig(temporary, format=suffix, dpi=160)
        figure.set_layout_engine("none")  # it stays as it is; working it out again takes a third of a figure's time
    plt.close(figure)
    return folder / f"{stem}.png"
