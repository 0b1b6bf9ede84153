"""A figure of the paper, drawn from finished runs: over the published points where the runs are of the paper's own
models, else the published panels above and their twins below, in the same form, each on its own axes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import fill

from matplotlib.figure import Figure

from noise_search.errors import Refused
from noise_search.report.figures import FORMS, blank, save
from noise_search.report.paper import FIGURES
from noise_search.report.paper_axes import draw_bars, draw_curves, draw_scatter
from noise_search.report.paper_panels import WORDS, Bars, Gains, Panel, PaperFigure, Scatter
from noise_search.report.paper_points import AXES, Line, alike, curves, gains_of, has_data, points_of
from noise_search.report.published import PAPER_MODELS, Point, published, published_table
from noise_search.storage.run_folder import finished_record


class Empty(Refused):
    """There is nothing to draw."""


def paper_figure(
    name: str, folders: Sequence[Path], into: Path, axis: str | None = None, forms: Sequence[str] = FORMS[:2]
) -> Path:
    """Write into/figure<name> in these forms; returns the first. axis: one of AXES; None: the paper's own."""
    if name not in FIGURES:
        raise Refused(f"figure={name}: one of {', '.join(FIGURES)}")
    if axis is not None and axis not in AXES:
        raise Refused(f"axis={axis}: one of {', '.join(AXES)}")
    own = [folder for folder in folders if finished_record(folder)["choices"]["model"] in PAPER_MODELS]
    figure, lines = FIGURES[name], []
    theirs = published_table(figure.table) if figure.table else published(name)
    for paper, runs in ((True, own), (False, [folder for folder in folders if folder not in own])):
        line = Line(runs, [p for run in runs for p in points_of(run)], theirs if paper else (), paper)
        if any(has_data(panel, line) for panel in figure.panels):
            lines.append(line)
    if not lines:
        raise Empty(f"figure={name}: none of these runs belongs to it, and no point of it was published")
    sheet = drawn(name, figure, lines, axis)
    return save(sheet, into, name if name.startswith("table") else f"figure{name}", forms)


def drawn(name: str, figure: PaperFigure, lines: Sequence[Line], axis: str | None) -> Figure:
    """One line of panels below another. The paper's convention of counting is for its own models alone."""
    columns = len(figure.panels)
    sheet = blank(max(2.9 * columns, 5.0), 2.7 * len(lines) + 0.3)
    grid = sheet.subplots(len(lines), columns, squeeze=False)
    for row, line in zip(grid, lines, strict=True):
        for axes, panel in zip(row, figure.panels, strict=True):
            if isinstance(panel, Scatter):
                draw_scatter(axes, panel, line)
            elif isinstance(panel, Bars):
                draw_bars(axes, panel, line)
            else:
                own = figure.axis if line.paper or figure.axis != "nfe_paper" else "nfe"
                draw_curves(axes, panel, line, axis or own)
    number = name.removeprefix("table")
    sheet.suptitle(f"{'Table' if number != name else 'Figure'} {number}: {figure.title}", fontsize=10)
    width = int(19 * sheet.get_figwidth())
    sheet.supxlabel("\n".join(fill(note, width) for note in notes(figure, lines)), fontsize=7, color="#555555")
    return sheet


def notes(figure: PaperFigure, lines: Sequence[Line]) -> Iterator[str]:
    """What stands under a figure: where published numbers are from, and what the runs are of, line by line."""
    if any(line.theirs for line in lines):
        source = "as printed" if figure.table else "read off the paper's figures (about 1 %)"
        of_sets = any(point.metric in WORDS for line in lines for point in line.theirs)
        yield f"Hollow: published, {source}" + "; FID, IS, precision and recall of 50,000 images" * of_sets
    for line in lines:
        told = [point.told for point in shown(figure, line) if point.told]
        words = [", ".join(sorted({one[key] for one in told} - {""})) for key in ("model", "verifier", "reference")]
        if told:
            yield f"{words[0]}: verifier {words[1]}" + f"; reference: {words[2]}" * bool(words[2])


def shown(figure: PaperFigure, line: Line) -> Iterator[Point]:
    """The points of runs that belong to one of a figure's panels."""
    for panel in figure.panels:
        if isinstance(panel, Panel):
            yield from (point for curve in curves(panel, line.ours, line).values() for point in curve)
        elif isinstance(panel, Gains):
            yield from (point for curve in gains_of(panel, line.ours).values() for point in curve)
        elif isinstance(panel, Bars):
            for metric in panel.groups:
                yield from alike([p for p in line.ours if p.metric == metric], panel.where, panel.varies)
