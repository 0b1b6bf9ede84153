"""Some rows of the leaderboard made afresh, and held against what was committed; seconds are not compared.

    python -m scripts.leaderboard_replay [rows=20] [seed=0] [from=docs/leaderboard] [only=MODEL]

Rows are drawn at random from those at equal NFE and GFLOPs, and one of the seeds of each. Its command runs in an empty
folder, at the row's point alone: the scores of all images and the metered costs must be what the kept scores say. Exit
code 1 if any is not.
"""

import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from noise_search.configuration.compose import own_hydra
from noise_search.measures.board import Row, read_rows
from noise_search.storage.run_folder import read_json
from scripts.leaderboard_jobs import METHODS
from scripts.leaderboard_runs import distances, make, point_of

CLOSE = 1e-3  # of a score, relative and absolute: another machine rounds otherwise


def kept_point(row: Row, folder: Path) -> dict[str, Any]:
    """What is committed of the row's point."""
    method = next(method for method in METHODS if method.name == row.method)
    content = read_json(folder / "scores" / row.model / f"{method.file}-{row.verifier}.json")
    return next(p for p in content["points"] if p["point"] == row.point)  # type: ignore[no-any-return]


def wrong_with(row: Row, seed: int, folder: Path, into: Path) -> Iterator[str]:
    """Run it again with one of its seeds, for a distance with all of them; what differs."""
    words = [word for word in row.command.split()[1:] if not word.startswith("budget.default_nfe=")]
    of_all = row.metric == "kernel_distance"
    seeds, there = row.seeds if of_all else (seed,), kept_point(row, folder)
    made = [make([*words, f"seed={s}", f"budget.points=[{row.point}]"], into / str(s)) for s in seeds]
    for run, number in zip(made, map(row.seeds.index, seeds), strict=True):
        again = point_of(run, run.purchases[-1])
        for name, kept in there["scores"].items():
            if off := apart(again["scores"][name], kept[number]):
                yield f"{name} of {off} of {row.images} images"
        for unit in ("nfe", "gflops") if not early(row) else ():
            if not np.isclose(again["cost"][unit], there["cost"][unit], rtol=1e-6):
                yield f"{unit}: {again['cost'][unit]}, not {there['cost'][unit]}"
    if of_all and (off := apart(distances(made[0].parts, [run.at(row.point) for run in made]), there["kid"])):
        yield f"{off} kernel distances"


def apart(new: list[float], old: list[float]) -> int:
    """How many are not the same."""
    return int((~np.isclose(new, old, rtol=CLOSE, atol=CLOSE)).sum())


def early(row: Row) -> bool:
    """Does what it costs depend on the scores, and so on the seed? Kept costs are means over seeds."""
    return row.method == "threshold"


def main(arguments: list[str]) -> int:
    options = {"rows": "20", "seed": "0", "from": "docs/leaderboard", "only": ""}
    options |= dict(argument.split("=", 1) for argument in arguments)
    rng, folder = random.Random(int(options["seed"])), Path(options["from"])
    rows = [r for r in read_rows(folder / "leaderboard.jsonl") if r.origin == "board" and r.unit != "seconds"]
    rows = [row for row in rows if options["only"] in ("", row.model)]
    drawn, bad = rng.sample(rows, min(int(options["rows"]), len(rows))), 0
    with own_hydra(), tempfile.TemporaryDirectory() as into:
        for number, row in enumerate(drawn):
            seed = rng.choice(row.seeds)
            problems = list(wrong_with(row, seed, folder, Path(into) / str(number)))
            bad += bool(problems)
            what = f"{row.model}, {row.method}, {row.verifier}, point {row.point}, {row.metric}, seed {seed}"
            print(f"row: {what}: {'; '.join(problems) or 'the same'}", flush=True)
    print(f"{len(drawn) - bad} of {len(drawn)} rows came out the same")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
