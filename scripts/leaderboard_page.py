"""docs/leaderboard.md, docs/leaderboard/table.html and leaderboard.jsonl, from the scores in docs/leaderboard/scores.

    python -m scripts.leaderboard_page [from=docs/leaderboard] [into=docs]

FROM holds scores/, rates.json and made.json (the commit that made the runs, and words about them). Rows that others
have submitted to leaderboard.jsonl stay.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from noise_search.measures.board import UNITS, Row, read_rows, write_rows
from noise_search.report.board_page import write_board
from noise_search.report.comparison import markdown
from noise_search.storage.atomic import write_text
from noise_search.storage.run_folder import read_json
from scripts.leaderboard_jobs import BOARDS, METHODS, Board
from scripts.leaderboard_rows import all_rows, entries

FROM = Path("docs/leaderboard")
NAMES = {"nfe": "NFE", "gflops": "GFLOPs", "seconds": "seconds"}
HEAD = Path(__file__).with_name("leaderboard_head.md")  # what the page says before its numbers


def apart(row: Row | None) -> str:
    """A difference to random search; bold where its interval leaves out zero."""
    if row is None or row.difference is None:
        return ""
    if row.diff_low is None or row.diff_high is None:
        return f"{row.difference:+.3g}"
    told = f"{row.difference:+.3g} [{row.diff_low:+.3g}, {row.diff_high:+.3g}]"
    return f"**{told}**" if row.diff_low > 0 or row.diff_high < 0 else told


class Tables:
    """Rows of one model, found by what they are of."""

    def __init__(self, board: Board, rows: Sequence[Row]) -> None:
        self.board, self.rows = board, rows
        self.at = {(r.method, r.verifier, r.unit, r.budget, r.metric): r for r in rows}
        self.judge = next((r.metric for r in rows if r.metric not in ("score", "kernel_distance")), "")

    def budgets(self, verifier: str, unit: str) -> list[float]:
        return sorted({r.budget for r in self.rows if (r.verifier, r.unit) == (verifier, unit)})

    def methods(self, verifier: str, unit: str, budget: float, metric: str) -> list[Row]:
        """Rows of one budget, the best first."""
        found = [r for r in self.rows if (r.verifier, r.unit, r.budget, r.metric) == (verifier, unit, budget, metric)]
        return sorted(found, key=lambda r: r.value if r.better == "lower" else -r.value)

    def largest(self, verifier: str) -> str:
        """One verifier at its largest budgets, ranked by its score at equal NFE."""
        most = {unit: self.budgets(verifier, unit)[-1] for unit in UNITS}
        lines = []
        for rank, row in enumerate(self.methods(verifier, "nfe", most["nfe"], "score"), 1):
            name = row.method
            costs = [apart(self.at.get((name, verifier, unit, most[unit], "score"))) for unit in UNITS]
            judged = self.at.get((name, verifier, "nfe", most["nfe"], self.judge))
            kid = self.at[name, verifier, "nfe", most["nfe"], "kernel_distance"]
            seen = [f"{judged.value:.3g} {apart(judged)}" if judged else "", f"{kid.value:.3g} {apart(kid)}"]
            lines.append([str(rank), name, f"{row.value:.4g}", *costs, *seen])
        header = ["", "method", "score", *(f"equal {NAMES[u]}, {most[u]:.3g}" for u in UNITS), self.judge, "KID"]
        return markdown(header, lines)

    def climbing(self, verifier: str) -> str:
        """Differences of the score to random search's at all budgets in NFE."""
        budgets = self.budgets(verifier, "nfe")
        order = [row.method for row in self.methods(verifier, "nfe", budgets[-1], "score") if row.method != "random"]
        lines = [[name, *(apart(self.at.get((name, verifier, "nfe", b, "score"))) for b in budgets)] for name in order]
        return markdown(["score - random's at NFE", *(f"{b:g}" for b in budgets)], lines)

    def ranks(self) -> str:
        """Mean rank over verifiers at the largest budget of each unit: of the score, the judge's number and KID."""
        lines = []
        verifiers = [v for v in self.board.verifiers if self.budgets(v, "nfe")]
        names = {row.method for row in self.rows}
        for name in names:
            cells = []
            for unit in UNITS:
                for metric in ("score", self.judge, "kernel_distance"):
                    places = [self.place(name, v, unit, metric) for v in verifiers]
                    known = [place for place in places if place is not None]
                    cells.append(float(np.mean(known)) if known else float("nan"))
            taken = sum(self.place(name, v, "nfe", "score") is not None for v in verifiers)
            lines.append((name, cells, taken))
        lines.sort(key=lambda line: (-line[2], float(np.nanmean(line[1])), line[0]))
        header = ["method", *(f"{m}, {NAMES[u]}" for u in UNITS for m in ("score", "judge", "KID")), "verifiers"]
        shown = [[n, *("" if np.isnan(c) else f"{c:.1f}" for c in cells), str(taken)] for n, cells, taken in lines]
        return markdown(header, shown)

    def place(self, name: str, verifier: str, unit: str, metric: str) -> float | None:
        """Rank among the methods at the largest budget; equals share theirs."""
        budget = self.budgets(verifier, unit)[-1]
        own = self.at.get((name, verifier, unit, budget, metric))
        if own is None:
            return None
        sign = -1 if own.better == "higher" else 1
        others = [sign * r.value for r in self.methods(verifier, unit, budget, metric)]
        return sum(o < sign * own.value for o in others) + (sum(o == sign * own.value for o in others) + 1) / 2


def sizes(board: Board, scores: Path) -> Iterator[str]:
    """What a board's runs are, in words."""
    found, refused = entries(scores, board.model)
    first = next(one.content for one in found if one.method == "random")
    budgets = [f"{p['cost']['nfe']:g}" for p in first["points"]]
    seeds, images = len(first["seeds"]), first["images"]
    tuned = [t for one in found for t in one.content["tuning"]["tried"]]
    spent = sum(t["nfe"] * t["images"] for t in tuned)
    yield (
        f"{images} images of each of {seeds} seeds ({images * seeds} in all), budgets of {', '.join(budgets)} NFE,"
        f" verifiers {', '.join(f'`{v}`' for v in board.verifiers)}. Command of each run: in leaderboard.jsonl."
    )
    yield f"Tuning: {len(tuned)} settings, {spent:,} NFE in all, not counted in the budgets."
    done = {(one.method, one.verifier) for one in found} | {(one["method"], one["verifier"]) for one in refused}
    wanted = [(m.name, v) for v in board.verifiers for m in METHODS if m.searches or v == board.verifiers[0]]
    if missing := [f"{m} with `{v}`" for m, v in wanted if (m, v) not in done]:
        yield f"Not run: {'; '.join(missing)}."
    for why in dict.fromkeys(one["refused"] for one in refused):
        yield f"Refused: {why}."


def chosen(board: Board, scores: Path) -> str:
    """What was tried of each method and chosen, for each verifier."""
    found, _ = entries(scores, board.model)
    lines = []
    for one in sorted(found, key=lambda e: (e.method, e.verifier)):
        tuning = one.content["tuning"]
        tried = tuning["tried"]
        words = (
            " ".join(setting.removeprefix("algorithm.") for setting in tuning["chosen"]) or "as published or shipped"
        )
        spread = f"{min(t['score'] for t in tried):.3g} to {max(t['score'] for t in tried):.3g}" if tried else ""
        cost = f"{sum(t['nfe'] * t['images'] for t in tried):,}" if tried else "0: nothing to tune"
        lines.append([one.method, one.verifier, words, str(len(tried)), spread, cost])
    return markdown(["method", "verifier", "chosen", "tried", "score of the worst and best", "NFE of tuning"], lines)


def page(rows: Sequence[Row], folder: Path, made: dict[str, Any]) -> str:
    """The page's Markdown."""
    parts = [HEAD.read_text().strip(), made["words"]]
    for board in BOARDS.values():
        own = [row for row in rows if row.model == board.model and row.origin == "board"]
        if not own:
            continue
        tables, scores = Tables(board, own), folder / "scores"
        parts += [f"## {made['titles'].get(board.model, board.model)}", *sizes(board, scores)]
        parts += ["### Mean rank over the verifiers, at the largest budget", tables.ranks()]
        for verifier in board.verifiers:
            if tables.budgets(verifier, "nfe"):
                parts += [f"### Verifier `{verifier}`", tables.largest(verifier), tables.climbing(verifier)]
        parts += ["### What was tuned", chosen(board, scores)]
    if submitted := [row for row in rows if row.origin == "submitted"]:
        runs = dict.fromkeys((r.model, r.method, r.verifier, r.command) for r in submitted)
        parts += ["## Submitted", markdown(["model", "method", "verifier", "command"], [list(run) for run in runs])]
    return "\n\n".join(parts) + "\n"


def main(arguments: Sequence[str]) -> None:
    options = dict(argument.split("=", 1) for argument in arguments)
    if unknown := set(options) - {"from", "into"}:
        raise SystemExit(f"unknown: {', '.join(unknown)}; there are from, into")
    folder, into = Path(options.get("from", FROM)), Path(options.get("into", "docs"))
    made = json.loads((folder / "made.json").read_text())
    rows = all_rows(folder / "scores", read_json(folder / "rates.json"), made["commit"])
    rows += [row for row in read_rows(folder / "leaderboard.jsonl") if row.origin == "submitted"]
    write_rows(into / "leaderboard/leaderboard.jsonl", rows)
    write_board(into / "leaderboard/table.html", rows)
    write_text(into / "leaderboard.md", page(rows, folder, made))


if __name__ == "__main__":
    main(sys.argv[1:])
