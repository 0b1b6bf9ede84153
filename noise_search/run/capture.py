"""What drafts are worth: every candidate once in full and once as each draft, of the same noises."""

import json
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile

import numpy as np
import torch

from noise_search.core.stopwatch import by_stage
from noise_search.errors import Refused
from noise_search.measures.capture import agreement, capture, rank_correlation
from noise_search.run.assemble import assemble
from noise_search.run.description import Description
from noise_search.run.parts import Parts, begin
from noise_search.run.settings import UNIT, settings_digest
from noise_search.storage.atomic import replacing, write_text

log = logging.getLogger("noise_search")
ENOUGH = 0.9  # of the gain: the least lower bound of the capture of a draft that is chosen
SIZES = (4, 16, 64)  # n
TIMED, PASSES = 2, 2  # images of a pass whose seconds are measured, and such passes


class Scored(NamedTuple):
    """scores float64 [I, K] of candidates; gflops: of one, on average."""

    scores: np.ndarray
    gflops: float


def in_full(run: Description) -> Description:
    """The run whose candidates are finished images."""
    return replace(run, budget=run.budget.with_search_nfe(run.budget.final_nfe))


def refuse(run: Description, images: int, candidates: int) -> None:
    if not run.verifier.ranks_alone or run.verifier.columns != 1:
        raise Refused(f"calibrate: verifier {run.choices['verifier']} gives a candidate no score of its own")
    if run.model.multiply_adds is None:
        raise Refused(f"calibrate: model.multiply_adds of {run.model.name} is not known")
    if images < 20 or candidates < SIZES[0]:
        raise Refused(f"images={images} candidates={candidates}: at least 20 images, {SIZES[0]} candidates of each")


@torch.no_grad()
def scored(parts: Parts, images: int, candidates: int) -> Scored:
    """Of images 0, 1, ...: candidates 0, 1, ..., as the run's draft makes them."""
    out, work = [], 0
    for start in range(0, images, UNIT):
        ids = list(range(start, min(start + UNIT, images)))
        problem = begin(parts, ids)
        at_once = problem.at_once
        done = [
            problem.evaluate(problem.noises(min(at_once, candidates - first), first=first))[:, :, 0]
            for first in range(0, candidates, at_once)
        ]
        out.append(torch.cat(done, 1).double().cpu().numpy())
        network = problem.meters.network
        multiply_adds = parts.run.model.multiply_adds or 0
        work += int(network.rows.count.sum()) * multiply_adds - int(network.left_out.count.sum())
    return Scored(np.concatenate(out), 2 * work / (images * candidates) / 1e9)


@torch.no_grad()
def seconds_of(ways: Sequence[Parts]) -> list[float]:
    """Of a candidate of each, with decoder and verifier: the best of `PASSES` that take turns, so that what else the
    machine does meanwhile weighs on all alike. The first of each, which sets things up, is not counted."""
    best = [float("inf")] * len(ways)
    for turn in range(PASSES + 1):
        for i, parts in enumerate(ways):
            problem = begin(parts, list(range(TIMED)))
            problem.evaluate(problem.noises(SIZES[1]))
            if turn:
                best[i] = min(best[i], sum(by_stage(problem.watch.spans).values()))
    return [seconds / (TIMED * SIZES[1]) for seconds in best]


def kept(folder: Path, name: str, parts: Parts, images: int, candidates: int) -> Scored:
    """As `scored`, from folder/scores/name.npz where that was made with the same settings and weights."""
    settings = settings_digest(parts.run.config), parts.run.budget.search_nfe, parts.weights, parts.tuning
    key = json.dumps([*settings, parts.device_name, images, candidates])
    path = folder / "scores" / f"{name}.npz"
    with (
        suppress(FileNotFoundError, BadZipFile, ValueError, EOFError),
        path.open("rb") as file,
        np.load(file) as old,
    ):
        if str(old["key"]) == key:
            return Scored(old["scores"], float(old["gflops"]))
    started = time.monotonic()
    found = scored(parts, images, candidates)
    found = found._replace(scores=found.scores.astype(np.float32))  # as they are read again
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as out:
        np.savez(out, key=key, scores=found.scores, gflops=found.gflops)
    log.info("%s: %d candidates in %.0f s", name, images * candidates, time.monotonic() - started)
    return found


def calibrate(full: Description, drafts: dict[str, Description], images: int, candidates: int, folder: Path) -> dict:
    """Score everything, write folder/calibration.json, and return it.

    drafts: name -> the run with that draft. Half of the conditions choose the draft, the other half report it: the
    cheapest in GFLOPs whose capture at the largest n has a lower bound of at least 0.9.
    """
    parts = assemble(full)
    halves = halves_of(full.dataset.index(range(images)))
    whole, sizes = kept(folder, "full", parts, images, candidates), [n for n in SIZES if n <= candidates]
    rows, ways = [], [parts]
    for name, run in drafts.items():
        ways.append(replace(parts, run=run, draft=run.draft.load(parts.model, run.model, parts.device)))
        found = kept(folder, name, ways[-1], images, candidates)
        told = {half: numbers(whole.scores[mask], found.scores[mask], sizes) for half, mask in halves.items()}
        rows.append({"draft": name, "settings": run.config["draft"], "nfe": run.budget.search_nfe} | told)
        rows[-1]["gflops"] = found.gflops
    own, *seconds = seconds_of(ways)
    for row, value in zip(rows, seconds, strict=True):
        row["seconds"] = value
    out = described(parts, images, candidates) | {"gflops": whole.gflops, "seconds": own}
    out["weights"] = {name: digest for way in ways for name, digest in way.weights.items()}
    out |= {"chosen": chosen(rows, str(sizes[-1])), "drafts": rows}
    write_text(folder / "calibration.json", json.dumps(out, indent=1) + "\n")
    return out


def halves_of(index: np.ndarray) -> dict[str, np.ndarray]:
    """index int64 [I] -> bool [I] each: images of every second condition, and of the others."""
    choosing = np.isin(index, np.unique(index)[::2])
    if min(choosing.sum(), (~choosing).sum()) < 10:
        raise Refused(f"images={len(index)}: fewer than 10 of one half of the conditions")
    return {"choosing": choosing, "reported": ~choosing}


def chosen(rows: Sequence[dict[str, Any]], n: str) -> str | None:
    """The cheapest draft that is good enough for those conditions that choose; None: there is none."""
    good = [row for row in rows if row["choosing"]["capture"][n][1] >= ENOUGH]
    return min(good, key=lambda row: row["gflops"])["draft"] if good else None


def described(parts: Parts, images: int, candidates: int) -> dict[str, Any]:
    run = parts.run
    return {
        **{group: run.choices[group] for group in ("model", "dataset", "verifier")},
        "cfg_scale": run.settings.cfg_scale,
        "seed": run.settings.seed,
        "images": images,
        "candidates": candidates,
        "final_nfe": run.budget.final_nfe,
        "enough": ENOUGH,
        "device": parts.device_name,
        "precision": parts.tuning.precision,
    }


def numbers(full: np.ndarray, draft: np.ndarray, sizes: Sequence[int]) -> dict[str, Any]:
    return {
        "images": len(full),
        "capture": {str(n): capture(full, draft, n) for n in sizes},
        "agreement": {str(n): agreement(full, draft, n) for n in sizes},
        "rank_correlation": rank_correlation(full, draft),
    }
