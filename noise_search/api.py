"""The front door: `search` finds, `render` makes what was found once more. CHANGELOG.md says what stays as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from noise_search.core.algorithm import Algorithm, unsearched
from noise_search.core.checks import whole
from noise_search.core.dataset import Dataset
from noise_search.core.model import Model
from noise_search.core.verifier import Verifier
from noise_search.errors import Refused
from noise_search.front.found import Found
from noise_search.front.order import Condition, OwnVerifier, order
from noise_search.front.rounds import finished, point_of, searched


def search(
    model: str | Model,
    conditions: Condition | Sequence[Condition],
    verifier: str | Verifier | OwnVerifier,
    *,
    n: int | None = None,
    nfe: int | None = None,
    seconds: float | None = None,
    algorithm: str | Algorithm = "random",
    dataset: str | Dataset | None = None,
    search_nfe: int | None = None,
    final_nfe: int | None = None,
    cfg_scale: float | None = None,
    seed: int = 0,
    device: str = "auto",
    batch_size: int | str = "auto",
    progress: bool | None = None,
) -> Found:
    """For each of the B conditions, class names or ids, the image of the best noise that was found.

    verifier: a name, or any function of images [N, 3, H, W] in [0, 1] and N texts -> [N], higher is better. Names of
    models, verifiers, algorithms and datasets are those of the Hydra groups; a model brings its dataset and budget.
    One of: n, candidates scored an image at the most (1: the model's plain sample); nfe, evaluations an image at the
    most, the final generation included; seconds, after which no round begins (anytime algorithms only). dataset: names
    for the classes of a Model of your own. search_nfe, final_nfe: of a candidate's draft, of the final generation.
    batch_size: network rows at a time, which bounds the memory whatever n is (paths holds the latents of a round, too).
    progress: a bar; None: on a terminal. Ctrl-C gives the best so far.
    """
    given = {"n": n, "nfe": nfe, "seconds": seconds}
    require_one(given)
    numbers: dict[str, Any] = {"search_nfe": search_nfe, "final_nfe": final_nfe, "cfg_scale": cfg_scale}
    numbers |= {"seed": seed, "device": device, "batch_size": batch_size}
    asked = order(model, conditions, verifier, algorithm, dataset, numbers)
    point = point_of(asked, n, nfe)
    shown = sys.stderr.isatty() if progress is None else progress
    with torch.no_grad():
        return searched(asked, point, seconds, shown)


def render(
    model: str | Model,
    conditions: Condition | Sequence[Condition],
    addresses: Sequence[tuple[int, int]],
    *,
    dataset: str | Dataset | None = None,
    final_nfe: int | None = None,
    cfg_scale: float | None = None,
    seed: int = 0,
    device: str = "auto",
    batch_size: int | str = "auto",
) -> list[Image.Image]:
    """The images of `Found.addresses`, or of some of them with their conditions, without a search or a verifier.

    The same to the bit where the same rows are computed together, else to within rounding. `final_nfe`: as searched.
    """
    numbers: dict[str, Any] = {"final_nfe": final_nfe, "cfg_scale": cfg_scale, "seed": seed}
    numbers |= {"device": device, "batch_size": batch_size}
    asked = order(model, conditions, lambda images, texts: [0.0] * len(texts), "none", dataset, numbers)
    if len(addresses) != len(asked.texts):
        raise Refused(f"addresses: {len(addresses)} for {len(asked.texts)} conditions")
    problem = asked.problem([image for image, _ in addresses])
    numbered = torch.tensor([candidate for _, candidate in addresses])
    with torch.no_grad():
        result = unsearched(problem)._replace(x=problem.noise(numbered))
        return finished(problem, result, problem.final_nfe)[0]


def require_one(given: dict[str, Any]) -> None:
    if sum(value is not None for value in given.values()) != 1:
        raise Refused(f"{', '.join(f'{k}={v}' for k, v in given.items())}: give exactly one of n, nfe and seconds")
    for name, value in given.items():
        if value is None:
            continue
        if name == "seconds" and not (isinstance(value, int | float) and value >= 0):
            raise Refused(f"seconds={value}: a number, at least 0")
        if name != "seconds" and not (whole(value) and value >= 1):
            raise Refused(f"{name}={value}: a whole number, at least 1")
