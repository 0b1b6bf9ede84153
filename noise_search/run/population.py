"""The run of a verifier that looks at the whole set: in fixed groups of image ids, each against the ones before."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from noise_search.core.algorithm import Independent
from noise_search.core.driver import Spent
from noise_search.core.population import Population
from noise_search.core.stopwatch import SEARCH, by_stage
from noise_search.run.parts import Parts, begin
from noise_search.run.progress import Work
from noise_search.run.search_units import begin_work, refuse_broken, search_and_render
from noise_search.storage.atomic import replacing
from noise_search.storage.run_folder import finished_ids
from noise_search.storage.units import read_units, set_aside, write_unit


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
            rows = group(parts, verifier.against(memory), first[ids], seconds, ids, work)
            write_unit(folder, rows, parts.footer)
            work.images += len(ids)
        rows = sorted(rows, key=lambda row: row["image_id"])
        chosen = {
            p: [np.frombuffer(row["features_search"], np.float32) for row in rows if row["point"] == p] for p in points
        }
        memory = verifier.commit(memory, first[ids], {p: np.stack(values) for p, values in chosen.items()})
    work.close()
    return work


def first_features(parts: Parts, verifier: Population, folder: Path, work: Work) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [images, D] of every image's candidate 0, at the search's NFE, and the seconds float32 [3] that
    one took, by stage of a search; kept in folder/first.bin, whose last four bytes are their CRC-32."""
    path = folder / "first.bin"
    if not path.is_file():
        parts_of, size = [], parts.batch_size  # which may halve meanwhile
        seconds = np.zeros(len(SEARCH), np.float32)
        for start in range(0, parts.run.settings.images, size):
            ids = list(range(start, min(parts.run.settings.images, start + size)))
            problem = begin(parts, ids, verifier)
            with torch.no_grad():
                parts_of.append(problem.evaluate(problem.noise(0)[:, None])[:, 0].cpu().numpy())
            refuse_broken(problem)
            if not torch.equal(problem.meters.evaluations.count, paid(parts, len(ids)).evaluations):
                raise RuntimeError("the NFE ledger is wrong: the first candidates cost more than one search pass")
            work.add(int(problem.meters.evaluations.count.sum()))
            took = by_stage(problem.watch.spans)
            seconds += [took[stage] / parts.run.settings.images for stage in SEARCH]
        content = np.concatenate(parts_of).tobytes() + seconds.tobytes()
        with replacing(path) as temporary:
            temporary.write_bytes(content + zlib.crc32(content).to_bytes(4, "little"))
    content = path.read_bytes()
    if len(content) % 4 or zlib.crc32(content[:-4]).to_bytes(4, "little") != content[-4:]:
        set_aside(path)
    numbers, images = np.frombuffer(content[:-4], np.float32), parts.run.settings.images
    if len(numbers) != images * verifier.columns + len(SEARCH):
        set_aside(path)
    return numbers[: -len(SEARCH)].reshape(images, -1), numbers[-len(SEARCH) :]


def paid(parts: Parts, count: int) -> Spent:
    """What the first candidates of `count` images have cost: one search pass each."""
    nfe = torch.full((count,), parts.run.budget.search_nfe)
    return Spent(nfe, nfe * 0, nfe * parts.run.guidance.rows)


def group(
    parts: Parts, verifier: Population, first: np.ndarray, seconds: np.ndarray, ids: list[int], work: Work
) -> list[dict[str, Any]]:
    """Search and render the images of one group against frozen statistics. first, seconds: as of `first_features`."""
    problem, before = begin(parts, ids, verifier), paid(parts, len(ids))
    problem.paid_before(before.evaluations, before.rows, (seconds * len(ids)).tolist())
    assert isinstance(parts.run.algorithm, Independent)
    start = parts.run.algorithm.resumed(torch.from_numpy(first)[:, None].to(parts.device))
    rows = search_and_render(parts, problem, work, start, before)
    refuse_broken(problem)
    return rows
