"""What a calibration of drafts found, as Markdown and as a figure of its frontier."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noise_search.report.comparison import markdown
from noise_search.report.figures import FLOOR, blank, save
from noise_search.report.paper_axes import COLOURS, MARKERS
from noise_search.storage.atomic import write_text


def frontier(rows: list[Mapping[str, Any]], cost: str, n: str) -> list[Mapping[str, Any]]:
    """Those that no cheaper one captures as much as, by rising cost."""
    out: list[Mapping[str, Any]] = []
    for row in sorted(rows, key=lambda row: (row[cost], -row["reported"]["capture"][n][0])):
        if not out or row["reported"]["capture"][n][0] > out[-1]["reported"]["capture"][n][0]:
            out.append(row)
    return out


def numbered(found: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """All drafts by rising GFLOPs, as the table numbers them."""
    return sorted(found["drafts"], key=lambda row: row["gflops"])


def page(found: Mapping[str, Any]) -> str:
    """A table of all drafts by rising GFLOPs, and what was chosen."""
    sizes = list(found["drafts"][0]["reported"]["capture"])
    best = {row["draft"] for row in frontier(found["drafts"], "gflops", sizes[-1])}
    header = ["#", "draft", "NFE", "GFLOPs", "of full", "seconds", "of full", *(f"capture, n = {n}" for n in sizes)]
    lines = []
    for number, row in enumerate(numbered(found), 1):
        part = row["reported"]
        cells = [str(number), row["draft"] + " *" * (row["draft"] in best), str(row["nfe"])]
        for cost in ("gflops", "seconds"):
            cells += [f"{row[cost]:.3g}", f"{row[cost] / found[cost]:.2f}"]
        cells += [told(part["capture"][n]) for n in sizes]
        lines.append([*cells, told(part["rank_correlation"]), told(part["agreement"][sizes[-1]])])
    table = markdown([*header, "Spearman", f"same best of {sizes[-1]}"], lines)
    half = found["drafts"][0]["reported"]["images"]
    chosen = f"`{found['chosen']}`" if found["chosen"] else "none"
    return (
        f"# Drafts of {found['model']} under {found['verifier']}\n\n"
        f"{found['images']} images of {found['dataset']}, {found['candidates']} candidates each, seed {found['seed']}, "
        f"guidance {found['cfg_scale']:g}; in full: {found['final_nfe']} NFE, {found['gflops']:.3g} GFLOPs, "
        f"{found['seconds']:.3g} s a candidate with decoder and verifier, {found['precision']}, {found['device']}.\n\n"
        f"Capture: (full score of the draft's pick - mean) / (best - mean), sums over sets of n candidates; intervals "
        f"(95 %) by bootstrap over images. The numbers are of {half} images whose conditions had no say in the choice. "
        f"Chosen by the others: {chosen}, the cheapest in GFLOPs whose capture at n = {sizes[-1]} has a lower bound of "
        f"at least {found['enough']}. A star: on the frontier in GFLOPs.\n\n{table}\n"
    )


def told(value: list[float]) -> str:
    return f"{value[0]:.2f} [{value[1]:.2f}, {value[2]:.2f}]"


def draw_frontier(found: Mapping[str, Any], into: Path) -> None:
    """into/frontier.svg: capture at the largest n against GFLOPs and against seconds, as shares of the full ones; each
    draft with its number in the table."""
    n = list(found["drafts"][0]["reported"]["capture"])[-1]
    drafts = numbered(found)
    kinds = list(dict.fromkeys(row["draft"].split()[0] for row in drafts))
    figure = blank(9, 3.8)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, cost, name in zip(panels, ("gflops", "seconds"), ("GFLOPs", "seconds"), strict=True):
        best = frontier(drafts, cost, n)
        steps = [(row[cost] / found[cost], row["reported"]["capture"][n][0]) for row in best]
        axes.step(*zip(*steps, strict=True), where="post", color=FLOOR, linewidth=0.8, zorder=0)
        axes.axhline(found["enough"], color=FLOOR, linestyle="--", linewidth=0.8)
        for number, row in enumerate(drafts, 1):
            value, low, high = row["reported"]["capture"][n]
            x, kind = row[cost] / found[cost], kinds.index(row["draft"].split()[0])
            look = {"color": COLOURS[kind % len(COLOURS)], "fmt": MARKERS[kind % len(MARKERS)], "label": kinds[kind]}
            axes.errorbar(x, value, [[value - low], [high - value]], markersize=5, linewidth=0.7, **look)
            axes.annotate(str(number), (x, value), (4, -9), textcoords="offset points", fontsize=7)
        axes.set_xlabel(f"{name} of a draft, share of a full candidate's")
        axes.set_ylim(top=1.03)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25, lw=0.5)
    handles = dict(zip(*reversed(panels[1].get_legend_handles_labels()), strict=True))
    panels[1].legend(handles.values(), handles, loc="lower right", fontsize=8, framealpha=0.85, edgecolor="none")
    panels[0].set_ylabel(f"capture at n = {n} (numbers: the table's)")
    save(figure, into, "frontier", ("svg",))


def write(found: Mapping[str, Any], into: Path) -> None:
    write_text(into / "calibration.md", page(found) + "\n![The frontier](frontier.svg)\n")
    draw_frontier(found, into)
