"""The run of a verifier that looks at the whole set: in fixed groups of image ids, each against the ones before."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from noise_search.core.algorithm import Independent
from noise_search.core.driver import Spent
from noise_search.core.population import Population
from noise_search.core.stopwatch import SEARCH, by_stage
from noise_search.run.checkpoint import EVERY, Checkpoint
from noise_search.run.parts import Parts, begin
from noise_search.run.progress import Work
from noise_search.run.search_units import begin_work, refuse_broken, search_and_render
from noise_search.storage.checked import read_checked, write_checked
from noise_search.storage.run_folder import finished_ids
from noise_search.storage.units import read_units, write_unit


def run_population(parts: Parts, verifier: Population, folder: Path) -> Work:
    """Make every group that `folder` lacks, in order. The verifier's memory is rebuilt from what is there."""
    images, points = parts.run.settings.images, [p.point for p in parts.run.plan.purchases]
    work = begin_work(parts, images - len(finished_ids(folder)))
    known = read_units(folder, ["image_id", "point", "features_search"])
    first, seconds = first_features(parts, verifier, folder, work)
    memory = verifier.begin(first, points)
    for start in range(0, images, verifier.group):
        ids = list(range(start, min(images, start + verifier.group)))
        rows = known.filter(pa.array(np.isin(known["image_id"].to_numpy(), ids))).to_pylist()
        if len(rows) < len(ids) * len(points):
            rows = group(parts, verifier.against(memory), first[ids], seconds, ids, work, folder)
            work.images += len(ids)
        rows = sorted(rows, key=lambda row: row["image_id"])
        chosen = {
            p: [np.frombuffer(row["features_search"], np.float32) for row in rows if row["point"] == p] for p in points
        }
        memory = verifier.commit(memory, first[ids], {p: np.stack(values) for p, values in chosen.items()})
    work.close()
    return work


@torch.no_grad()
def first_features(parts: Parts, verifier: Population, folder: Path, work: Work) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [images, D] of every image's candidate 0, at the search's NFE, and the seconds float32 [3] that
    one took, by stage of a search; kept in folder/first.bin, those of the first images while it is made."""
    path, images, width = folder / "first.bin", parts.run.settings.images, verifier.columns
    known, seconds = np.empty((0, width), np.float32), np.zeros(len(SEARCH), np.float32)  # of all that are known
    if path.is_file():
        numbers = np.frombuffer(read_checked(path), np.float32)
        known, seconds = numbers[: -len(SEARCH)].reshape(-1, width), numbers[-len(SEARCH) :]
    found, size, saved = [known], parts.batch_size, time.monotonic()  # the size may halve meanwhile
    for start in range(len(known), images, size):
        ids = list(range(start, min(images, start + size)))
        problem = begin(parts, ids, verifier)
        found.append(problem.evaluate(problem.noise(0)[:, None])[:, 0].cpu().numpy())
        refuse_broken(problem)
        if not torch.equal(problem.meters.evaluations.count, paid(parts, len(ids)).evaluations):
            raise RuntimeError("the NFE ledger is wrong: the first candidates cost more than one search pass")
        work.add(int(problem.meters.evaluations.count.sum()))
        took = by_stage(problem.watch.spans)
        seconds = seconds + np.array([took[stage] for stage in SEARCH], np.float32)
        if ids[-1] + 1 == images or time.monotonic() - saved > EVERY:
            write_checked(path, np.concatenate(found).tobytes() + seconds.tobytes())
            saved = time.monotonic()
    return np.concatenate(found), seconds / images


def paid(parts: Parts, count: int) -> Spent:
    """What the first candidates of `count` images have cost: one search pass each."""
    nfe = torch.full((count,), parts.run.budget.search_nfe)
    return Spent(nfe, nfe * 0, nfe * parts.run.guidance.rows, nfe * 0)


def group(
    parts: Parts, verifier: Population, first: np.ndarray, seconds: np.ndarray, ids: list[int], work: Work, folder: Path
) -> list[dict[str, Any]]:
    """Search and render the images of one group against frozen statistics, and write them. first, seconds: as of
    `first_features`."""
    problem, before = begin(parts, ids, verifier), paid(parts, len(ids))
    problem.paid_before(before.evaluations, before.rows, (seconds * len(ids)).tolist())
    assert isinstance(parts.run.algorithm, Independent)
    start = parts.run.algorithm.resumed(torch.from_numpy(first)[:, None].to(parts.device))
    checkpoint = Checkpoint(parts, problem, folder)
    rows = search_and_render(parts, problem, work, checkpoint, start)
    refuse_broken(problem)
    write_unit(folder, rows, parts.footer)
    checkpoint.remove()
    return rows
