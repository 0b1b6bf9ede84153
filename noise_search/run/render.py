"""From chosen noises to images: every distinct winner is rendered once, scored again and seen by the judge."""

import hashlib
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from noise_search.core.driver import Readout, Spent
from noise_search.core.images import images_to_tensor, tensor_to_images
from noise_search.core.problem import Problem
from noise_search.core.stopwatch import by_stage
from noise_search.measures.metric import measures_of
from noise_search.run.parts import Parts
from noise_search.run.progress import Work
from noise_search.run.settings import SHOWN

Key = tuple[int, int, int]  # (number of the image in its group, number of the search, address of the noise)


def keys_of(readout: Readout) -> list[Key]:
    return [(i, readout.series, candidate) for i, candidate in enumerate(readout.result.candidate.tolist())]


def render(
    parts: Parts,
    problem: Problem,
    readouts: list[Readout],
    work: Work,
    finals: dict[Key, dict[str, Any]],
    then: Callable[[], None] | None = None,
) -> None:
    """Finish every distinct winner that is not in `finals` yet: scores again, image, judge's features, what it cost.
    A noise that its search is said to have finished, and that is read again without it, is rendered as any other.
    then: called after each batch of them."""
    noises, final = {r.point for r in readouts if r.result.t}, parts.run.budget.final_nfe
    final_nfe = {p.point: p.nfe_final or final * (p.point in noises) for p in parts.run.plan.purchases}
    first: dict[Key, Readout] = {}
    for readout in readouts:
        for key in keys_of(readout):
            if key not in finals:
                first.setdefault(key, readout)
    size = parts.batch_size  # which may halve meanwhile
    for nfe in sorted(set(final_nfe.values())):
        keys = [key for key, readout in first.items() if final_nfe[readout.point] == nfe]
        for at in range(0, len(keys), size):
            chunk = keys[at : at + size]
            found = [(first[key].result, key[0]) for key in chunk]
            who = torch.tensor([key[0] for key in chunk])
            x, views = torch.stack([r.x[i] for r, i in found]), torch.stack([r.views[i] for r, i in found])
            finals.update(zip(chunk, rendered_rows(parts, problem, x, views, who, nfe, work), strict=True))
            if then is not None:
                then()


def rendered_rows(
    parts: Parts,
    problem: Problem,
    x: Tensor,
    views: Tensor,
    who: Tensor,
    nfe: int,
    work: Work,
) -> list[dict[str, Any]]:
    """Render noises x [N, ...] with `nfe` evaluations each (0: x is finished already and has its views)."""
    before, watch, at = Spent.of(problem.meters), problem.watch, len(problem.watch.spans)
    with watch("render"):
        if nfe:
            x, views = problem.flow.solve(x, problem.grid(nfe), who, problem.verifier.needs)
        problem.bill(who, views.shape[1])
        images = torch.cat(parts.batches(problem.flow.decode, x))
    finite, pixels = images.isfinite().flatten(1).all(1), tensor_to_images(images)
    with watch("judge"):
        scores = torch.cat(parts.batches(problem.verify, images_to_tensor(pixels, parts.device), views, who))
    problem.broken[who[~(finite & scores.isfinite().all(1)).cpu()]] = True
    scores = scores.cpu()

    def judge(rows: Tensor, index: Tensor) -> tuple[np.ndarray, np.ndarray]:
        images = rows.numpy()
        return parts.judge.features(images), measures_of(parts.judge.metrics, images, index.numpy())

    with watch("judge"):
        seen = parts.batches(judge, torch.from_numpy(pixels), problem.index.cpu()[who])
    features, measures = (np.concatenate(column) for column in zip(*seen, strict=True))
    seconds = by_stage(watch.spans[at:])
    work.took(seconds)
    spent, share = Spent.of(problem.meters).since(before), torch.bincount(who, minlength=len(problem.ids))
    return [
        {
            "scores_final": problem.verifier.shown(scores[n]).tolist(),
            "measures": measures[n].tolist(),
            "digest": hashlib.sha256(pixels[n].tobytes()).hexdigest()[:32],
            "png": png(pixels[n]) if parts.run.settings.keep_images or problem.ids[i] < SHOWN else None,
            "features": features[n].tobytes(),
            "nfe_final": int(spent.evaluations[i] // share[i]),
            "rows_final": int(spent.rows[i] // share[i]),
            "seconds_final": seconds["render"] / len(who),
        }
        for n, i in enumerate(who.tolist())
    ]


def png(image: np.ndarray) -> bytes:
    """uint8 [H, W, 3] -> PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()
