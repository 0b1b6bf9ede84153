"""The work of a run: search and render unit by unit of image ids, bill every row, write what is finished."""

import hashlib
import io
import time
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from noise_search.algorithms.base import Algorithm
from noise_search.algorithms.random import RandomState
from noise_search.budget import Budget, Plan
from noise_search.datasets.base import Dataset
from noise_search.denoiser import Batches, Guided
from noise_search.driver import Readout, Spent, sweep
from noise_search.metrics.judges import Judge, images_to_tensor, tensor_to_images
from noise_search.models.base import Model
from noise_search.problem import Problem, open_problem
from noise_search.progress import Progress
from noise_search.settings import SHOWN, UNIT, Settings
from noise_search.store import finished_ids, runs, words, write_unit
from noise_search.verifiers.base import Candidates, Verifier
from noise_search.workers import Worker


@dataclass(frozen=True)
class Parts:
    """All that a run is made of, built and checked."""

    model: Model
    dataset: Dataset
    verifier: Verifier
    algorithm: Algorithm
    budget: Budget
    judge: Judge
    plan: Plan
    settings: Settings
    solver: str
    device: str
    batches: Batches
    footer: Mapping[str, str]  # of every file: what its images were made with
    worker: Worker
    source: str | None = None  # the run whose candidates were read again

    @property
    def weights(self) -> dict[str, str]:
        """File name -> sha256 of everything that was loaded."""
        return self.model.weights | self.verifier.weights | self.judge.weights

    @property
    def batch_size(self) -> int:
        return self.batches.size


def walk(parts: Parts, folder: Path) -> Iterator[tuple[range, list[range]]]:
    """Groups of image ids, as many units as fill a batch, each with the spans of it that `folder` lacks.

    From this worker's own offset once round all of them; what others have finished by then is left out. So the units of
    a dead worker are taken over, workers may come and go, and a race costs nothing but time. Groups are the same for
    everybody: whoever makes a unit computes the same batches, to the bit.
    """
    images, worker, size = parts.settings.images, parts.worker, max(1, parts.batch_size // UNIT) * UNIT
    groups = [range(start, min(start + size, images)) for start in range(0, images, size)]
    turn = worker.rank * len(groups) // worker.world
    for group in groups[turn:] + groups[:turn]:
        done = finished_ids(folder)
        missing = [span for unit in units(group) for span in runs(i for i in unit if i not in done)]
        if missing:
            yield group, missing


def units(ids: range) -> list[range]:
    """Units: ranges of ids that begin at the multiples of UNIT."""
    return [range(start, min(start + UNIT, ids.stop)) for start in range(ids.start, ids.stop, UNIT)]


def run(parts: Parts, folder: Path) -> dict[str, float]:
    """Make every image id below settings.images that `folder` lacks. Returns seconds by stage, and images made.

    A unit with an image or a score that is not finite is not written; all others are, before the error.
    """
    done = finished_ids(folder)
    seconds, progress = clocks(parts, sum(i not in done for i in range(parts.settings.images)))
    seconds["images"] = 0.0
    broken: dict[int, range] = {}  # the first image that is not finite -> its unit
    for group, missing in walk(parts, folder):
        rows = compute(parts, begin(parts, list(group)), progress, seconds)
        for unit in missing:
            found = [row for row in rows if row["image_id"] in unit]
            bad = [row["image_id"] for row in found if np.isnan(row["scores_final"]).any()]
            if bad:
                broken[bad[0]] = unit
                continue
            write_unit(folder, found, parts.footer)
            seconds["images"] += len(unit)
    progress.close()
    if broken:
        spans, names = words(broken.values()), ", ".join(map(str, broken))
        raise RuntimeError(f"{folder} is incomplete: ids {spans} are missing: pixels or score of {names} not finite")
    return seconds


def begin(parts: Parts, ids: list[int], verifier: Verifier | None = None) -> Problem:
    """The problem of searching for `ids`; verifier: instead of parts.verifier."""
    return open_problem(
        parts.model,
        verifier or parts.verifier,
        torch.from_numpy(parts.dataset.labels(ids)).to(parts.device),
        ids,
        parts.budget.search_nfe,
        parts.budget.final_nfe,
        parts.settings.guidance,
        parts.solver,
        parts.settings.seed,
        parts.batches,
    )


def clocks(parts: Parts, missing: int) -> tuple[dict[str, float], Progress]:
    """Seconds by stage and images made, and the progress of making `missing` images."""
    seconds = {"images": float(missing), "search": 0.0, "render": 0.0, "judge": 0.0}
    return seconds, Progress(missing, parts.plan.sweep_search + sum(parts.plan.sweep_final) // 2)


@torch.no_grad()
def compute(
    parts: Parts,
    problem: Problem,
    progress: Progress,
    seconds: dict[str, float],
    start: RandomState | None = None,
    paid: Spent | None = None,
) -> list[dict[str, Any]]:
    """Search and render: one row an (image, point), as `store.SCHEMA` says. start, paid: as `driver.sweep`."""
    points = [p.point for p in parts.plan.purchases]
    started, seen = time.monotonic(), 0
    readouts, bank = [], None
    for event in sweep(problem, parts.algorithm, points, problem.meters, start, paid):
        if isinstance(event, Readout):
            readouts.append(event)
        elif isinstance(event, RandomState) and event.round:
            bank = event.scores
        progress.add(int(problem.meters.evaluations.count.sum()) - seen)
        seen = int(problem.meters.evaluations.count.sum())
    seconds["search"] += time.monotonic() - started
    finals = render(parts, problem, readouts, seconds)
    progress.add(int(problem.meters.evaluations.count.sum()) - seen, len(problem.ids))
    check_ledger(parts, problem.meters, readouts, finals)
    return rows_of(parts, problem, readouts, finals, bank, time.monotonic() - started)


Key = tuple[int, int, int]  # (number of the image in its group, number of the search, address of the noise)


def keys_of(readout: Readout) -> list[Key]:
    return [(i, readout.series, candidate) for i, candidate in enumerate(readout.result.candidate.tolist())]


def rows_of(
    parts: Parts,
    problem: Problem,
    readouts: list[Readout],
    finals: dict[Key, dict[str, Any]],
    bank: Tensor | None,
    seconds: float,
) -> list[dict[str, Any]]:
    """The rows to store. bank: scores [B, N, V] of all candidates of a random search; seconds: that all this took."""
    total = Spent.of(problem.meters)
    out = []
    for readout in readouts:
        for i, key in enumerate(keys_of(readout)):
            final = dict(finals[key])
            rows_final = final.pop("rows_final")
            out.append(
                {
                    "image_id": problem.ids[i],
                    "label": int(problem.labels[i]),
                    "point": readout.point,
                    "candidate": key[2],
                    "scores": readout.result.score[i].tolist(),
                    **kept(problem.verifier, bank[i] if bank is not None else None, key[2], readout is readouts[-1]),
                    "nfe_search": int(readout.spent.evaluations[i]),
                    "nfe_backward": int(readout.spent.backward[i]),
                    "network_rows": int(readout.spent.rows[i]) + rows_final,
                    "spent_nfe": int(total.evaluations[i]),
                    "spent_rows": int(total.rows[i]),
                    "spent_scored": int(problem.scored.count[i]),
                    "spent_decoded": int(problem.decoded.count[i]),
                    "seconds": seconds / len(problem.ids),
                    **final,
                }
            )
    return out


def kept(verifier: Verifier, bank: Tensor | None, candidate: int, last: bool) -> dict[str, Any]:
    """What is stored of one image's scores bank [N, V] of all candidates: all of them, at the largest budget only; of
    a verifier whose columns are features, those of the chosen candidate."""
    if bank is None:
        return {"bank": None, "features_search": None}
    if verifier.columns > len(verifier.members):
        return {"bank": None, "features_search": bank[candidate].cpu().numpy().tobytes()}
    return {"bank": bank.flatten().tolist() if last else None, "features_search": None}


def render(
    parts: Parts, problem: Problem, readouts: list[Readout], seconds: dict[str, float], have: Container[Key] = ()
) -> dict[Key, dict[str, Any]]:
    """Finish every distinct winner once, but those in `have`: scores again, image, judge's features, what it cost."""
    final_nfe = {p.point: p.nfe_final for p in parts.plan.purchases}
    first: dict[Key, Readout] = {}
    for readout in readouts:
        for key in keys_of(readout):
            if key not in have:
                first.setdefault(key, readout)
    out: dict[Key, dict[str, Any]] = {}
    for nfe in sorted(set(final_nfe.values())):
        keys = [key for key, readout in first.items() if final_nfe[readout.point] == nfe]
        for at in range(0, len(keys), parts.batch_size):
            chunk = keys[at : at + parts.batch_size]
            found = [(first[key].result, key[0]) for key in chunk]
            who = torch.tensor([key[0] for key in chunk], device=parts.device)
            x, views = torch.stack([r.x[i] for r, i in found]), torch.stack([r.views[i] for r, i in found])
            out.update(zip(chunk, finish(parts, problem, x, views, who, nfe, seconds), strict=True))
    return out


def finish(
    parts: Parts,
    problem: Problem,
    x: Tensor,
    views: Tensor,
    who: Tensor,
    nfe: int,
    seconds: dict[str, float],
) -> list[dict[str, Any]]:
    """Render noises x [N, ...] with `nfe` evaluations each (0: x is finished already and has its views)."""
    before, started = Spent.of(problem.meters), time.monotonic()
    if nfe:
        x, views = problem.flow.solve(x, problem.grid(nfe), who, problem.verifier.needs)
    problem.bill(who, views.shape[1])
    images = torch.cat(parts.batches(problem.flow.decode, x))
    finite, pixels = images.isfinite().flatten(1).all(1), tensor_to_images(images)

    def verify(images: Tensor, who: Tensor, views: Tensor) -> Tensor:
        seen = problem.decode_views(views[:, None])
        return problem.verifier.scores(Candidates(images[:, None], problem.labels[who], seen))[:, 0]

    scores = torch.cat(parts.batches(verify, images_to_tensor(pixels, parts.device), who, views))
    scores = scores.masked_fill(~finite[:, None], float("nan")).cpu()
    rendered = time.monotonic()
    features = parts.judge.features(pixels)
    seconds["render"] += rendered - started
    seconds["judge"] += time.monotonic() - rendered
    spent, share = Spent.of(problem.meters).since(before), torch.bincount(who.cpu(), minlength=len(problem.ids))
    return [
        {
            "scores_final": problem.verifier.shown(scores[n]).tolist(),
            "digest": hashlib.sha256(pixels[n].tobytes()).hexdigest()[:32],
            "png": png(pixels[n]) if parts.settings.keep_images or problem.ids[i] < SHOWN else None,
            "features": features[n].tobytes(),
            "nfe_final": int(spent.evaluations[i] // share[i]),
            "rows_final": int(spent.rows[i] // share[i]),
        }
        for n, i in enumerate(who.tolist())
    ]


def check_ledger(parts: Parts, meters: Guided, readouts: list[Readout], finals: dict[Key, dict[str, Any]]) -> None:
    """Both meters must agree with the closed form: for every point, and for the sweep with its distinct winners."""
    factor = parts.settings.guidance.rows
    planned = torch.full_like(meters.evaluations.count, parts.plan.sweep_search)
    for key, final in finals.items():
        planned[key[0]] += final["nfe_final"]
    agrees = torch.equal(meters.evaluations.count, planned)
    agrees &= torch.equal(meters.network.rows.count, factor * planned)
    agrees &= bool((meters.backward.count == parts.plan.sweep_backward).all())
    for purchase, readout in zip(parts.plan.purchases, readouts, strict=True):
        agrees &= bool((readout.spent.evaluations == purchase.nfe_search).all())
        agrees &= bool((readout.spent.backward == purchase.nfe_backward).all())
        agrees &= bool((readout.spent.rows == factor * purchase.nfe_search).all())
        agrees &= all(finals[key]["nfe_final"] == purchase.nfe_final for key in keys_of(readout))
    if not agrees:
        raise RuntimeError("the NFE ledger is wrong: what the meters counted is not what the plan promised")


def png(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] -> PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()
