"""`noise-search figures`: the paper's figures from finished runs."""

from pathlib import Path

from noise_search.errors import Refused
from noise_search.report.figures import FORMS
from noise_search.report.paper import FIGURES, SAMPLES
from noise_search.report.paper_figures import Empty, paper_figure
from noise_search.report.sample_grid import sample_grid
from noise_search.run.reopen import reopen


def figures(runs: list[Path], names: list[str], into: Path | None, axis: str | None, form: str | None) -> int:
    """Draw figures of the paper into a folder and print the files. names: "6" or "17"; none: all that `runs` or the
    published points fill. Each run goes to the figures that it belongs to; a sample figure shows each run. form:
    png, pdf or svg; None: the first two."""
    if into is None:
        raise Refused("figures: into=FOLDER, where they go")
    if unknown := [name for name in names if name not in (*FIGURES, *SAMPLES)]:
        raise Refused(f"figure={unknown[0]}: one of {', '.join((*FIGURES, *SAMPLES))}")
    if form not in (None, *FORMS):
        raise Refused(f"as={form}: one of {', '.join(FORMS)}")
    forms = (form,) if form else FORMS[:2]
    for name in names or FIGURES:
        if name in SAMPLES:
            if not runs:
                raise Refused(f"figure={name}: the samples of which run?")
            for run in runs:
                described = reopen(run)
                title = f"Figure {name}, the same images at growing budgets\n{described.title}"
                print(sample_grid(run, list(described.dataset.texts), into, f"figure{name}_{run.name}", title, forms))
            continue
        try:
            print(paper_figure(name, runs, into, axis, forms))
        except Empty as empty:  # of all figures, those are drawn that can be
            if names:
                raise
            print(f"not drawn: {empty}")
    return 0
