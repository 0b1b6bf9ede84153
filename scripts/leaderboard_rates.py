"""Seconds of what the leaderboard's runs are made of, measured: docs/leaderboard/rates.json.

    python -m scripts.leaderboard_rates [board=small] [passes=20] [into=docs/leaderboard/rates.json]

The quickest of several passes, one thread, so that other work on the machine counts for little. Seconds of a run are
made from them (scripts/leaderboard_rows.py): runs beside other work have none that compare.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

from noise_search.configuration.compose import composed, own_hydra
from noise_search.run.calibrate import candidates_of, first_steps, images_of, one_pass
from noise_search.run.description import describe
from noise_search.storage.atomic import write_text
from noise_search.storage.run_folder import read_json
from scripts.leaderboard_jobs import BOARDS, Board
from scripts.leaderboard_runs import PLAIN, loaded

RATES = Path("docs/leaderboard/rates.json")


def measured(board: Board, passes: int) -> dict[str, object]:
    """Seconds of a network row, of decoding a latent, and of each verifier's look at an image."""
    row, decode, verify, device = float("inf"), float("inf"), {}, ""
    for verifier in board.verifiers:
        asked = [*board.options, f"verifier={verifier}", *board.conditions["board"], "images=8", "budget.points=[8]"]
        parts = loaded(describe(*composed([*asked, *PLAIN])))
        best: dict[str, float] = defaultdict(lambda: float("inf"))
        for _ in range(passes):
            for stage, seconds in one_pass(parts).items():
                best[stage] = min(best[stage], seconds)
        candidates = images_of(parts) * candidates_of(parts)
        rows = candidates * sum(first_steps(parts, 1).stages) * parts.run.guidance.rows
        row, decode = min(row, best["denoise"] / rows), min(decode, best["decode"] / candidates)
        verify[verifier], device = best["verify"] / candidates, parts.device_name
    return {"device": device, "row": row, "decode": decode, "verify": verify}


def main(arguments: list[str]) -> None:
    options = dict(argument.split("=", 1) for argument in arguments)
    board, into = BOARDS[options.get("board", "small")], Path(options.get("into", RATES))
    with own_hydra():
        found = measured(board, int(options.get("passes", 20)))
    write_text(into, json.dumps(read_json(into) | {board.model: found}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
