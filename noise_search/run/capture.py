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


class Scored(NamedTuple):
    """scores float64 [I, K] of candidates; gflops, seconds: of one, on average; seconds with decoder and verifier."""

    scores: np.ndarray
    gflops: float
    seconds: float


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
    out, seconds, work = [], 0.0, 0.0
    begin_and_score(parts, [0], 1)  # what is set up at the first call is no part of the seconds
    for start in range(0, images, UNIT):
        ids = list(range(start, min(start + UNIT, images)))
        problem = begin(parts, ids)
        at_once = problem.at_once
        done = [
            problem.evaluate(problem.noises(min(at_once, candidates - first), first=first))[:, :, 0]
            for first in range(0, candidates, at_once)
        ]
        out.append(torch.cat(done, 1).double().cpu().numpy())
        seconds += sum(by_stage(problem.watch.spans).values())
        network = problem.meters.network
        multiply_adds = parts.run.model.multiply_adds or 0
        work += int(network.rows.count.sum()) * multiply_adds - int(network.left_out.count.sum())
    total = images * candidates
    return Scored(np.concatenate(out), 2 * work / total / 1e9, seconds / total)


def begin_and_score(parts: Parts, ids: list[int], count: int) -> None:
    problem = begin(parts, ids)
    problem.evaluate(problem.noises(count))


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
            return Scored(old["scores"], float(old["gflops"]), float(old["seconds"]))
    started = time.monotonic()
    found = scored(parts, images, candidates)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("wb") as out:
        np.savez(out, key=key, scores=found.scores.astype(np.float32), gflops=found.gflops, seconds=found.seconds)
    log.info("%s: %d candidates in %.0f s", name, images * candidates, time.monotonic() - started)
    return kept(folder, name, parts, images, candidates)


def calibrate(full: Description, drafts: dict[str, Description], images: int, candidates: int, folder: Path) -> dict:
    """Score everything, write folder/calibration.json, and return it.

    drafts: name -> the run with that draft. Half of the conditions choose the draft, the other half report it: the
    cheapest in GFLOPs whose capture at the largest n has a lower bound of at least 0.9.
    """
    parts = assemble(full)
    whole = kept(folder, "full", parts, images, candidates)
    rows, index = [], full.dataset.index(range(images))
    conditions = np.unique(index)
    choosing = np.isin(index, conditions[::2])
    if min(choosing.sum(), (~choosing).sum()) < 10:
        raise Refused(f"images={images}: fewer than 10 of one half of the conditions")
    sizes = [n for n in SIZES if n <= candidates]
    for name, run in drafts.items():
        own = replace(parts, run=run, draft=run.draft.load(parts.model, run.model, parts.device))
        if not run.draft.exact or run.budget.search_nfe != full.budget.search_nfe:
            found = kept(folder, name, own, images, candidates)
        else:
            found = whole
        halves = {"choosing": choosing, "reported": ~choosing}
        rows.append(
            {"draft": name, "settings": run.config["draft"], "nfe": run.budget.search_nfe}
            | {"gflops": found.gflops, "seconds": found.seconds}
            | {half: numbers(whole.scores[mask], found.scores[mask], sizes) for half, mask in halves.items()}
        )
    largest = str(sizes[-1])
    good = [row for row in rows if row["choosing"]["capture"][largest][1] >= ENOUGH]
    chosen = min(good, key=lambda row: row["gflops"])["draft"] if good else None
    out = described(parts, images, candidates, whole) | {"chosen": chosen, "drafts": rows}
    write_text(folder / "calibration.json", json.dumps(out, indent=1) + "\n")
    return out


def described(parts: Parts, images: int, candidates: int, whole: Scored) -> dict[str, Any]:
    run = parts.run
    return {
        **{group: run.choices[group] for group in ("model", "dataset", "verifier")},
        "cfg_scale": run.settings.cfg_scale,
        "seed": run.settings.seed,
        "images": images,
        "candidates": candidates,
        "final_nfe": run.budget.final_nfe,
        "gflops": whole.gflops,
        "seconds": whole.seconds,
        "enough": ENOUGH,
        "device": parts.device_name,
        "precision": parts.tuning.precision,
        "weights": dict(parts.weights),
    }


def numbers(full: np.ndarray, draft: np.ndarray, sizes: Sequence[int]) -> dict[str, Any]:
    return {
        "images": len(full),
        "capture": {str(n): capture(full, draft, n) for n in sizes},
        "agreement": {str(n): agreement(full, draft, n) for n in sizes},
        "rank_correlation": rank_correlation(full, draft),
    }
