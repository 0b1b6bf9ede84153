"""A finished run as rows of the leaderboard, once some of its images have been made again."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from noise_search.core.population import Population
from noise_search.errors import Refused
from noise_search.measures.board import UNITS, Row
from noise_search.run.reopen import reopen, saved
from noise_search.run.settings import GROUPS, settings_digest
from noise_search.storage.run_folder import finished_images, finished_record, flatten, identity_of

LARGE = 1000  # images from which on a biased number, such as FD, is worth a row
HERE = (
    "logger",
    "rank",
    "world",
    "device",
    "batch_size",
    "compile",
    "keep_images",
    "keep_bank",
    "draw_figures",
    "axis",
    "plan_only",
)
Composed = Callable[[Sequence[str]], tuple[dict[str, Any], dict[str, str]]]


def rows_of(run: Path, composed: Composed) -> list[Row]:
    """One row for each unit, budget and metric of a finished run. composed: overrides -> (config, choices)."""
    if not finished_images(run):
        raise Refused(f"{run}: not a finished run")
    described, identity, record = reopen(run), identity_of(run), finished_record(run)
    if isinstance(described.verifier, Population):
        raise Refused(f"{run}: verifier={described.choices['verifier']} sees the whole set; no image can be made again")
    if "source" in identity:
        raise Refused(f"{run}: was read again from another run's candidates; submit a run of this verifier's own")
    command = command_of(run, composed)
    with (run / "curve.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if worth_a_row(line, record["metrics"])]
    about = {"images": record["images"], "weights": identity["weights"], "commit": commit(), "command": command}
    rows = [row_of(line, unit, record["metrics"], about) for line in lines for unit in UNITS if line[unit]]
    if not rows:
        raise Refused(f"{run}: its curve has no number that is worth a row")
    return rows


def worth_a_row(line: dict[str, str], metrics: dict[str, Any]) -> bool:
    """What is said of final images, where it is known which way is better; biased numbers of many images only."""
    told = metrics.get(line["metric"], {})
    kind = line["metric"].split("/")[0]
    enough = int(line["n_images"]) >= LARGE or not told.get("biased")
    return bool(line["value"]) and kind not in ("score", "score_final_gain") and bool(told.get("better")) and enough


def row_of(line: dict[str, str], unit: str, metrics: dict[str, Any], about: dict[str, Any]) -> Row:
    """line: of curve.csv."""
    cost = float(line[unit])
    drafts = f", {line['draft']} drafts" if line["draft"] != "none" else ""
    low, high = (float(line[name]) if line[name] else None for name in ("ci_low", "ci_high"))
    return Row(
        model=line["model"],
        dataset=line["dataset"],
        method=line["algorithm"] + drafts,
        verifier=line["verifier"],
        unit=unit,
        budget=cost,
        cost=cost,
        point=int(line["point"]),
        metric=line["metric"],
        network=line["network"],
        better=metrics[line["metric"]]["better"],
        value=float(line["value"]),
        ci_low=low,
        ci_high=high,
        difference=None,
        diff_low=None,
        diff_high=None,
        seeds=(int(line["seed"]),),
        device=line["device"],
        origin="submitted",
        **about,
    )


def command_of(run: Path, composed: Composed) -> str:
    """The command that makes this run: its choices, and every setting that is not as they have it."""
    config, choices = saved(run)
    words = [f"{group}={choices[group]}" for group in ("model", *(g for g in GROUPS if g != "model"))]
    for key in ("observers", "more_metrics"):
        words += [f"{key}=[{','.join(config[key])}]"] * bool(config[key])
    made, wanted = flatten(composed([*words, "logger=none"])[0]), flatten(config)
    for key, value in wanted.items():
        if key.split(".")[0] in (*HERE, "observers", "more_metrics") or made.get(key) == value:
            continue
        words.append(f"{key}={told(value)}")
    again = composed([*words, "logger=none"])[0]
    if settings_digest(again) != settings_digest(config):
        raise Refused(
            f"{run}: no command with these choices gives its settings; it was made with other files of settings"
        )
    return " ".join(["noise-search", *words])


def told(value: Any) -> str:
    """A value as Hydra's command line takes it."""
    if isinstance(value, bool) or value is None:
        return {None: "null", True: "true", False: "false"}[value]
    return f"[{','.join(map(told, value))}]" if isinstance(value, list) else str(value)


def commit() -> str:
    """Of the code that is running; with changes that are not committed it can be fetched by nobody, and is refused."""
    folder = Path(__file__).parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, check=False)
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if (head := git("rev-parse", "HEAD")) is None:
        from importlib.metadata import version

        return f"v{version('noise_search')}"
    if git("status", "--porcelain", "--untracked-files=no", "--", str(folder)):
        raise Refused(f"{folder} has changes that are not committed: commit them, or the run cannot be made by others")
    return head
