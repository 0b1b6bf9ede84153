"""Racing against random search, by three verifiers at once: score candidates, write docs/results/racing/scores.npz.

    python scripts/results_racing.py [images=100] [out=docs/results/racing]

Candidates are those of `algorithm=racing` and `algorithm=random`, seed 0, guidance 1, float32: a run of either picks
the same. Blocks of ten images are kept beside it and not made again; about 70 seconds each of one core that does
nothing else. docs/results/racing.md is written by hand around the table that `table` makes of these scores.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from noise_search.algorithms.racing import Racing
from noise_search.algorithms.random import Random
from noise_search.configuration.compose import composed, own_hydra
from noise_search.core.denoiser import Prediction
from noise_search.core.gather import take
from noise_search.core.problem import Problem
from noise_search.measures.paired import paired_bootstrap
from noise_search.run.assemble import assemble
from noise_search.run.description import describe
from noise_search.run.parts import Parts, begin
from noise_search.storage.atomic import replacing

VERIFIERS = {"classifier": "Lite0's logit", "classifier_b": "Lite1's logit", "oracle_is": "Lite2's probability"}
BLOCK, MOST, RANDOM, RACES = 10, 24, (2, 4, 8, 16), (2, 4, 8, 11, 16, 20, 23)
C, FINAL = 10, 20


def picks(kept: dict[str, np.ndarray], verifier: int, count: int, raced: bool) -> np.ndarray:
    """int64 [I]: what each search for `count` candidates chooses. kept: as `block` makes it."""
    if not raced:
        return kept["whole"][verifier, :, :count].argmax(1)
    best = np.argsort(-kept["rung"][verifier, :, :count], 1, kind="stable")[:, : Racing().left(count)[1]]
    end = np.take_along_axis(kept["end"][verifier], best, 1)
    return np.take_along_axis(best, end.argmax(1)[:, None], 1)[:, 0]


def finals(kept: dict[str, np.ndarray], verifier: int, count: int, raced: bool) -> np.ndarray:
    """float [I]: verifier score of the finished image of each."""
    chosen = picks(kept, verifier, count, raced)
    return np.take_along_axis(kept["final"][verifier], chosen[:, None], 1)[:, 0]


def row(kept: dict[str, np.ndarray], verifier: int, count: int, against: int) -> str:
    """A race for `count` candidates beside random search for `against`."""
    nfe = [sum(algorithm.cost(n, C, FINAL)[:2]) for algorithm, n in ((Racing(), count), (Random(), against))]
    ours, theirs = finals(kept, verifier, count, True), finals(kept, verifier, against, False)
    found = paired_bootstrap(ours, theirs, "higher")
    told = f"{found.difference:+.3f} [{found.ci_low:+.3f}, {found.ci_high:+.3f}]"
    name = list(VERIFIERS)[verifier]
    return (
        f"| `{name}` | {count} | {nfe[0]} | {ours.mean():.3f} | {against} | {nfe[1]} | {theirs.mean():.3f}"
        f" | {nfe[0] / nfe[1]:.2f} | {told} |"
    )


def table(kept: dict[str, np.ndarray]) -> str:
    head = "| verifier | racing, N | NFE | score | random, N | NFE | score | NFE, ratio | difference, paired |"
    pairs = ((8, 8), (11, 8), (16, 8), (20, 8), (20, 16), (23, 16))
    lines = [row(kept, v, *pair) for pair in pairs for v in range(len(VERIFIERS))]
    return "\n".join([head, "|" + "---|" * 9, *lines])


def scores(problems: Sequence[Problem], x: Tensor) -> np.ndarray:
    """Of clean latents x [B, K, ...], by each verifier: float64 [V, B, K]."""
    return np.stack([one.score(x, x[:, :, None][:, :, :0])[:, :, 0].double().numpy() for one in problems])


def placed(found: np.ndarray, at: np.ndarray) -> np.ndarray:
    """found [V, B, K] of candidates at [B, K] -> [V, B, MOST]; NaN where nothing was found."""
    out = np.full((*found.shape[:2], MOST), np.nan)
    np.put_along_axis(out, np.broadcast_to(at, found.shape), found, 2)
    return out


def padded(needed: Sequence[set[int]]) -> np.ndarray:
    """int64 [B, K]: of each image its candidates; the first again where others have more."""
    width = max(map(len, needed))
    return np.array([sorted(one) + [min(one)] * (width - len(one)) for one in needed])


@torch.no_grad()
def block(ways: Sequence[Parts], first: int) -> dict[str, np.ndarray]:
    """Of images first, first + 1, ...: all candidates at the rung of a race, those that reach its end, those of random
    search, and the finished images of all that some search chooses; [V, B, candidates] each."""
    problems = [begin(parts, list(range(first, first + BLOCK))) for parts in ways]
    problem, racing, before = problems[0], Racing(), None
    times, x = problem.schedule(racing.steps, solver="euler").times, problem.noises(MOST)
    rung = racing.rungs[0]
    for i in range(rung):
        now = racing.first(problem, x, times[0]) if i == 0 else problem.predict(x, times[i])
        x, before = problem.flow.step(x, times[i], times[i + 1], now, before), (times[i], now)
    kept = {"rung": scores(problems, now.x0)}
    order = [np.argsort(-kept["rung"][:, :, :n], 2, kind="stable")[:, :, : racing.left(n)[1]] for n in RACES]
    at = padded([set(np.concatenate([one[:, i].ravel() for one in order]).tolist()) for i in range(BLOCK)])
    going = torch.from_numpy(at)
    x, last = take(x, going), (times[rung - 1], Prediction(*(take(part, going) for part in now)))
    x = problem.flow.step(x, times[rung], times[rung + 1], problem.predict(x, times[rung]), last)
    kept["end"] = placed(scores(problems, x), at)
    kept["whole"] = scores(problems, problem.solve(problem.noises(RANDOM[-1]), problem.grid(C))[0])
    chosen = [
        picks(kept, v, n, raced) for v in range(len(ways)) for raced in (True, False) for n in (RANDOM, RACES)[raced]
    ]
    at = padded([{0, *(int(one[i]) for one in chosen)} for i in range(BLOCK)])
    x = take(problem.noises(MOST), torch.from_numpy(at))
    return kept | {"final": placed(scores(problems, problem.solve(x, problem.grid(FINAL))[0]), at)}


def main() -> None:
    options = {"images": "100", "out": "docs/results/racing"} | dict(word.split("=") for word in sys.argv[1:])
    out, settings = Path(options["out"]), ["model=sit_cifar10", "images=100", "logger=none", "precision=float32"]
    with own_hydra():
        ways = [assemble(describe(*composed([*settings, f"verifier={name}"]))) for name in VERIFIERS]
    blocks = []
    for first in range(0, int(options["images"]), BLOCK):
        path = out / f"block_{first}.npz"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.savez(file, **block(ways, first))
            print(path, flush=True)
        with np.load(path) as found:
            blocks.append(dict(found))
    kept = {name: np.concatenate([one[name] for one in blocks], 1).astype(np.float32) for name in blocks[0]}
    weights = json.dumps({name: digest for parts in ways for name, digest in parts.weights.items()})
    with replacing(out / "scores.npz") as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **kept, weights=weights)
    print(table(kept))


if __name__ == "__main__":
    main()
