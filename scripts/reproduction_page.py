"""docs/reproduction.md and its figures, from kept runs (docs/reproduction/runs, as scripts/reproduce.py keeps them).

    python -m scripts.reproduction_page [kept=docs/reproduction/runs] [into=docs] [text=true]

Figures go into INTO/reproduction as SVG. text=true: the page alone. What the paper says, and which of our numbers are
held against it, is in scripts/reproduction_claims.py.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from noise_search.cli.figures import figures
from noise_search.measures.paired import Difference
from noise_search.report.comparison import markdown
from noise_search.report.matrix import banks
from noise_search.report.paper import FIGURES
from noise_search.storage.atomic import write_text
from noise_search.storage.run_folder import finished_record, identity_of, read_json
from noise_search.storage.units import read_units
from scripts.reproduction_claims import CORRELATIONS, SECTIONS, Claim, Place, Section
from scripts.reproduction_jobs import GRIDS
from scripts.reproduction_kept import Kept, Number

KEPT = Path("docs/reproduction/runs")
WORDS = {
    "kernel_distance": "KID",
    "inception_score": "IS",
    "demands_met": "demands",
}


def verdict(a: Number, b: Number, difference: Difference | None, expected: str) -> str:
    """Is b higher, or lower, than a, as was expected? By the interval of their difference where there is one, else by
    their own, which must not overlap; without any, by nothing."""
    if difference is not None and difference.ci_low is not None and difference.ci_high is not None:
        above, below = difference.ci_low > 0, difference.ci_high < 0
    elif np.isnan(a.low) or np.isnan(b.low):
        return "no interval (too few images)"
    else:
        above, below = b.low > a.high, b.high < a.low
    if not (above or below):
        return "not told apart"
    return "agrees" if expected == ("higher" if above else "lower") else "**the reverse**"


def line(claim: Claim, kept: Kept) -> list[str]:
    """One line of a section's table; nothing where one of its runs was not made."""
    held = kept.held(claim)
    if held is None:
        return []
    name = WORDS.get(claim.metric, claim.metric.replace("_", " "))
    images = finished_record(kept.runs[kept.seeds(claim.b)[held.seeds[0]]])["images"]
    apart = ""
    if held.apart is not None and held.apart.ci_low is not None:
        apart = f"{held.apart.difference:+.3g} [{held.apart.ci_low:.3g}, {held.apart.ci_high:.3g}]"
    cells = [f"{number} at {number.nfe:,}" for number in (held.a, held.b)]
    words = verdict(held.a, held.b, held.apart, claim.expected)
    return [claim.words, name, *cells, apart, f"{images:,} x {len(held.seeds)}", words]


def correlation(kept: Kept, x: str, y: str, published: float) -> str:
    """r of two verifiers over first candidates, with Fisher's interval, all seeds together."""
    names = kept.seeds(Place("bank")).values()
    if not names:
        return f"r of `{x}` and `{y}`: not run (published: {published:.2f})."
    scores = np.concatenate([first_scores(kept.runs[name], (x, y)) for name in names])
    r, n = float(np.corrcoef(scores.T)[0, 1]), len(scores)
    low, high = np.tanh(np.arctanh(r) + np.array([-1.96, 1.96]) / (n - 3) ** 0.5)
    return f"r of `{x}` and `{y}`: {r:.2f} [{low:.2f}, {high:.2f}], n = {n:,} (the paper's twins: {published:.2f})."


def first_scores(run: Path, names: tuple[str, str]) -> np.ndarray:
    """[B, 2]: both scores of each image's first candidate."""
    columns = finished_record(run)["columns"]
    return banks(read_units(run, ["image_id", "bank"]), len(columns))[:, 0, [columns.index(name) for name in names]]


def head(kept: Kept, told: str) -> Iterator[str]:
    """Scale and hours, from what the runs say of themselves. told: by hand, the commands and the machine."""
    records = [finished_record(run) for run in kept.runs.values()]
    images = " and ".join(map(str, sorted({record["images"] for record in records})))
    spent = sum(read_json(run / "spent.json").get("cpu_seconds", 0) for run in kept.runs.values())
    yield "# The paper, figure by figure"
    yield f"{len(kept.runs)} runs of {images} images, {spent / 3600:.1f} CPU hours. {told.strip()}"
    weights = {name: digest for run in kept.runs.values() for name, digest in identity_of(run)["weights"].items()}
    yield "Weights (sha256): " + ", ".join(f"`{name}` {digest[:12]}" for name, digest in sorted(weights.items())) + "."


def body(section: Section, kept: Kept) -> Iterator[str]:
    """A section without its picture: what the paper says, what we found, what was not run, and why."""
    yield f"## {titled(section.figure)}: {FIGURES[section.figure].title}"
    yield f"*The paper:* {section.paper}"
    if section.figure == "5":
        yield from (correlation(kept, *each) for each in CORRELATIONS)
    told = {claim: line(claim, kept) for claim in section.claims}
    if rows := [cells for cells in told.values() if cells]:
        yield markdown(*filled(["claim", "number", "before", "after", "paired", "images x seeds", "verdict"], rows))
    if missing := dict.fromkeys(claim.words for claim, cells in told.items() if not cells):
        yield f"Not run: {'; '.join(missing)}."
    if section.why:
        yield section.why


def filled(head: list[str], rows: list[list[str]]) -> tuple[list[str], list[list[str]]]:
    """Without columns that hold nothing."""
    kept = [k for k in range(len(head)) if any(row[k] for row in rows)]
    return [head[k] for k in kept], [[row[k] for k in kept] for row in rows]


def titled(figure: str) -> str:
    return f"Table {figure[5:]}" if figure.startswith("table") else f"Figure {figure}"


def page(kept: Kept, told: str, pictures: Path) -> str:
    """The page's Markdown. told: by hand, for its head; pictures: folder of the figures that were drawn."""
    parts = list(head(kept, told))
    for section in SECTIONS:
        parts += body(section, kept)
        name = section.figure if section.figure.startswith("table") else f"figure{section.figure}"
        parts += [f"![{titled(section.figure)}](reproduction/{name}.svg)"] * (pictures / f"{name}.svg").is_file()
    parts.append("## Figures 17 to 23: the same condition and seed at growing budgets")
    for number, name in GRIDS.items():
        if f"{name}-s0" in kept.runs:
            parts.append(f"![Figure {number}: {name}](reproduction/figure{number}_{name}-s0.svg)")
    return "\n\n".join(parts) + "\n"


def draw(kept: Kept, into: Path) -> None:
    figures(list(kept.runs.values()), [], into, None, "svg")
    for number, name in GRIDS.items():
        if run := kept.runs.get(f"{name}-s0"):
            figures([run], [number], into, None, "svg")


def main(arguments: Sequence[str]) -> None:
    options = dict(argument.split("=", 1) for argument in arguments)
    if unknown := set(options) - {"kept", "into", "text"}:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are kept, into, text")
    folder, into = Path(options.get("kept", KEPT)), Path(options.get("into", "docs"))
    kept = Kept(folder)
    if options.get("text") != "true":
        draw(kept, into / "reproduction")
    write_text(into / "reproduction.md", page(kept, (folder.parent / "made.txt").read_text(), into / "reproduction"))


if __name__ == "__main__":
    main(sys.argv[1:])
