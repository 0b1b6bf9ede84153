"""The work of a run: search and render unit by unit of image ids, bill every row, write what is finished."""

import io
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from noise_search.algorithms.base import Algorithm
from noise_search.budget import Budget, Plan
from noise_search.datasets.base import Dataset
from noise_search.denoiser import Guided, MeteredNetwork
from noise_search.driver import Readout, sweep
from noise_search.flow import Flow
from noise_search.grid import uniform_grid
from noise_search.metrics.judges import Judge, images_to_tensor, tensor_to_images
from noise_search.models.base import Model
from noise_search.problem import Problem
from noise_search.progress import Progress
from noise_search.settings import UNIT, Settings
from noise_search.store import finished_ids, write_unit
from noise_search.verifiers.base import Candidates, Verifier


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

    @property
    def weights(self) -> dict[str, str]:
        """File name -> sha256 of everything that was loaded."""
        return self.model.weights | self.verifier.weights | self.judge.weights

    @property
    def batch_size(self) -> int:
        size = self.settings.batch_size
        return self.model.batch_size if size == "auto" else int(size)


def units(missing: list[int], together: int) -> Iterator[list[list[int]]]:
    """Image ids in groups of up to `together` units; a unit never crosses a multiple of UNIT."""
    by_unit: dict[int, list[int]] = {}
    for i in missing:
        by_unit.setdefault(i // UNIT, []).append(i)
    ready = list(by_unit.values())
    for start in range(0, len(ready), together):
        yield ready[start : start + together]


def run(parts: Parts, folder: Path) -> dict[str, float]:
    """Make every image id below settings.images that `folder` lacks. Returns seconds by stage, and images made."""
    done = finished_ids(folder)
    missing = [i for i in range(parts.settings.images) if i not in done]
    seconds = {"images": float(len(missing)), "search": 0.0, "render": 0.0, "judge": 0.0}
    progress = Progress(len(missing), parts.plan.sweep_search + sum(parts.plan.sweep_final) // 2)
    for group in units(missing, max(1, parts.batch_size // UNIT)):
        rows = compute(parts, [i for unit in group for i in unit], progress, seconds)
        for unit in group:
            write_unit(folder, [row for row in rows if unit[0] <= row["image_id"] <= unit[-1]])
    progress.close()
    return seconds


@torch.inference_mode()
def compute(parts: Parts, ids: list[int], progress: Progress, seconds: dict[str, float]) -> list[dict[str, Any]]:
    """Search and render `ids`: one row an (image, point), as `store.SCHEMA` says."""
    labels = torch.from_numpy(parts.dataset.labels(ids)).to(parts.device)
    network = MeteredNetwork(parts.model.network, len(ids), parts.batch_size)
    guided = Guided(network, labels, parts.model.classes, parts.settings.cfg_scale)
    flow = Flow(guided, parts.model.path, parts.model.decoder)
    grid = uniform_grid(parts.budget.search_nfe, parts.solver)
    problem = Problem(flow, parts.verifier, ids, labels, parts.model.shape, grid, parts.settings.seed)

    started = time.monotonic()
    readouts, seen = [], 0
    for event in sweep(problem, parts.algorithm, [p.point for p in parts.plan.purchases], guided):
        if isinstance(event, Readout):
            readouts.append(event)
        progress.add(int(guided.evaluations.count.sum()) - seen)
        seen = int(guided.evaluations.count.sum())
    seconds["search"] += time.monotonic() - started

    nfe_search, rows_search = guided.evaluations.count.clone(), network.rows.count.clone()
    winners = [readout.state.candidate.cpu().numpy() for readout in readouts]
    first: dict[tuple[int, int], int] = {}  # (image, address of its noise) -> the first readout that chose it
    for number, chosen in enumerate(winners):
        for image, candidate in enumerate(chosen):
            first.setdefault((image, int(candidate)), number)
    finals = render(parts, flow, labels, readouts, first, seconds)
    progress.add(int(guided.evaluations.count.sum()) - seen, len(ids))
    check_ledger(parts, guided, readouts, first)

    out = []
    distinct = distinct_winners(first, len(ids))
    rows_final = (network.rows.count - rows_search) // distinct
    nfe_final = (guided.evaluations.count - nfe_search) // distinct
    for readout, chosen in zip(readouts, winners, strict=True):
        scores = readout.state.score.cpu().numpy()
        for image, candidate in enumerate(chosen):
            out.append(
                {
                    "image_id": ids[image],
                    "label": int(labels[image]),
                    "point": readout.point,
                    "candidate": int(candidate),
                    "score": float(scores[image]) if readout.evaluations[image] else None,
                    "nfe_search": int(readout.evaluations[image]),
                    "nfe_final": int(nfe_final[image]),
                    "network_rows": int(readout.rows[image] + rows_final[image]),
                    "spent_nfe": int(guided.evaluations.count[image]),
                    "spent_rows": int(network.rows.count[image]),
                    **finals[image, int(candidate)],
                }
            )
    return out


def render(
    parts: Parts,
    flow: Flow,
    labels: Tensor,
    readouts: list[Readout],
    first: dict[tuple[int, int], int],
    seconds: dict[str, float],
) -> dict[tuple[int, int], dict[str, Any]]:
    """Generate every distinct winner once at the final NFE: its score again, its image and the judge's features."""
    keys, out = list(first), {}
    grid = uniform_grid(parts.budget.final_nfe, parts.solver)
    for start in range(0, len(keys), parts.batch_size):
        chunk = keys[start : start + parts.batch_size]
        started = time.monotonic()
        x = torch.stack([readouts[first[key]].state.x[key[0]] for key in chunk])
        who = torch.tensor([image for image, _ in chunk], device=parts.device)
        images = tensor_to_images(flow.decode(flow.solve(x, grid, who)))
        shown = images_to_tensor(images, parts.device)[:, None]
        scores = parts.verifier.score(Candidates(shown, labels[who]))[:, 0]
        rendered = time.monotonic()
        features = parts.judge.features(images)
        seconds["render"] += rendered - started
        seconds["judge"] += time.monotonic() - rendered
        for key, image, score, feature in zip(chunk, images, scores.cpu().numpy(), features, strict=True):
            out[key] = {"score_final": float(score), "png": png(image), "features": feature.tobytes()}
    return out


def distinct_winners(first: dict[tuple[int, int], int], images: int) -> Tensor:
    """How many different noises the budgets chose for each image, int64 [images]."""
    return torch.bincount(torch.tensor([image for image, _ in first]), minlength=images)


def check_ledger(parts: Parts, guided: Guided, readouts: list[Readout], first: dict[tuple[int, int], int]) -> None:
    """Both meters must agree with the closed form: for every point, and for the sweep with its distinct winners."""
    factor = 1 if parts.settings.cfg_scale == 1.0 else 2
    planned = parts.plan.sweep_search + parts.budget.final_nfe * distinct_winners(first, len(guided.labels))
    agrees = torch.equal(guided.evaluations.count, planned)
    agrees &= torch.equal(guided.network.rows.count, factor * planned)
    for purchase, readout in zip(parts.plan.purchases, readouts, strict=True):
        agrees &= bool((readout.evaluations == purchase.nfe_search).all())
        agrees &= bool((readout.rows == factor * purchase.nfe_search).all())
    if not agrees:
        raise RuntimeError("the NFE ledger is wrong: what the meters counted is not what the plan promised")


def png(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] -> PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()
