"""Every algorithm under one ledger: tuned elsewhere, run with three seeds, kept as docs/leaderboard/scores.

    python -m scripts.leaderboard replay=20 [seed=0] [only=toy]     rows made afresh (scripts/leaderboard_replay.py)
    python -m scripts.leaderboard [board=class] [size=protocol] [images=..] [seeds=3] [only=zo,smc] [out=...] [kept=...]

board: class (sit_cifar10), small (sit_cifar10_small) or text (scenes); size: protocol, or small, which a busy machine
can do. One process, resumable: what is kept is not made again.
"""

import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from noise_search.configuration.compose import composed, own_hydra
from noise_search.errors import Refused
from noise_search.run.description import describe
from noise_search.storage.run_folder import read_json
from scripts.leaderboard_jobs import BOARDS, METHODS, TUNING_SEED, Board, Method, Size, pairs, settings_of
from scripts.leaderboard_replay import main as replay
from scripts.leaderboard_runs import kept, make, own_scores, write

KEPT = Path("docs/leaderboard/scores")


@dataclass(frozen=True)
class Runs:
    """board, size: see leaderboard_jobs; seeds: how many; out: folder of the runs; into: of what is kept."""

    board: Board
    size: Size
    images: int
    seeds: int
    out: Path
    into: Path

    def options(self, method: Method, verifier: str, setting: tuple[str, ...]) -> list[str]:
        return [*self.board.options, f"verifier={verifier}", *method.options, *setting, *self.size.options]

    def make(self, method: Method, verifier: str) -> None:
        """Tune, run all seeds, keep; nothing where that is done."""
        name = f"{method.file}-{verifier}"
        path = self.into / self.board.model / f"{name}.json"
        if read_json(path).get("images") == self.images:
            return
        started = time.process_time()
        try:
            describe(*composed(self.options(method, verifier, settings_of(method, verifier)[0])))
        except Refused as refused:
            write(path, {"method": method.name, "verifier": verifier, "refused": str(refused), "images": self.images})
            print(f"{name}: {refused}", flush=True)
            return
        tuning = self.tuned(method, verifier, name)
        chosen = tuple(tuning["chosen"])
        asked = [*self.options(method, verifier, chosen), *self.board.conditions["board"], f"images={self.images}"]
        asked += [f"budget.default_nfe={list(self.size.nfe)}".replace(" ", "")]
        made = [make([*asked, f"seed={seed}"], self.out / f"{name}-s{seed}") for seed in range(self.seeds)]
        about = {"model": self.board.model, "method": method.name, "verifier": verifier, "images": self.images}
        about |= {"seeds": list(range(self.seeds)), "command": " ".join(asked), "tuning": tuning}
        write(path, about | kept(made))
        print(f"{name}: {time.process_time() - started:.0f} CPU seconds", flush=True)

    def tuned(self, method: Method, verifier: str, name: str) -> dict[str, Any]:
        """The setting with the best mean score on other conditions and another seed, and what each reached and cost."""
        settings, tried = settings_of(method, verifier), []
        if len(settings) == 1:
            return {"chosen": settings[0], "tried": []}
        for number, setting in enumerate(settings):
            asked = [*self.options(method, verifier, setting), *self.board.conditions["tuning"]]
            asked += [
                f"budget.nfe=[{self.size.tuning_nfe}]",
                f"images={self.size.tuning_images}",
                f"seed={TUNING_SEED}",
            ]
            made = make(asked, self.out / f"tuning-{name}-{number}")
            purchase = made.purchases[-1]
            score = float(np.mean(own_scores(made, purchase.point)))
            tried.append({"setting": setting, "score": score, "nfe": purchase.nfe, "images": self.size.tuning_images})
        best = max(tried, key=lambda one: one["score"])
        return {"chosen": best["setting"], "tried": tried}


def main(arguments: list[str]) -> None:
    options = dict(argument.split("=", 1) for argument in arguments)
    if "replay" in options:
        sys.exit(replay([f"rows={options.pop('replay')}", *(f"{key}={value}" for key, value in options.items())]))
    board = BOARDS[options.pop("board", "class")]
    size = board.sizes[options.pop("size", "protocol")]
    images, seeds = int(options.pop("images", size.images)), int(options.pop("seeds", 3))
    only = options.pop("only", "").split(",")
    out = Path(options.pop("out", "outputs/leaderboard")) / board.model
    runs = Runs(board, size, images, seeds, out, Path(options.pop("kept", KEPT)))
    if options or set(only) - {"", *(method.file for method in METHODS)}:
        raise SystemExit(f"{options or only}: options are board, size, images, seeds, only, out, kept")
    with own_hydra():
        for method, verifier in pairs(board):
            if only == [""] or method.file in only:
                runs.make(method, verifier)


if __name__ == "__main__":
    main(sys.argv[1:])
