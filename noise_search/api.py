"""The front door: `search` finds, `render` makes what was found once more. CHANGELOG.md says what stays as it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image

from noise_search.core.algorithm import Algorithm, Traceable, unsearched
from noise_search.core.checks import finite, whole
from noise_search.core.dataset import Dataset
from noise_search.core.draft import Draft
from noise_search.core.model import Model, ModelSettings
from noise_search.core.verifier import Verifier
from noise_search.errors import Refused
from noise_search.front.found import Found
from noise_search.front.order import Condition, OwnVerifier, order
from noise_search.front.rounds import finished, point_of, searched
from noise_search.models.diffusers.wrap import from_diffusers

__all__ = ["from_diffusers", "render", "search"]


def search(
    model: str | Model | ModelSettings,
    conditions: Condition | Sequence[Condition],
    verifier: str | Verifier | OwnVerifier,
    *,
    n: int | None = None,
    nfe: int | None = None,
    seconds: float | None = None,
    algorithm: str | Algorithm = "random",
    draft: str | Draft = "none",
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

    verifier: a name; any function of images [N, 3, H, W] in [0, 1] and N texts -> [N], higher is better; or a
    `Verifier`, which is loaded here. Names of models, verifiers, algorithms and datasets are those of the Hydra
    groups; a model brings its dataset and budget, one of `from_diffusers` its steps and guidance. For a model that
    reads texts "ensemble" is its own (`scenes_ensemble`), or the paper's of texts, `ensemble_text`.
    One of: n, candidates scored an image at the most (1: the model's plain sample); nfe, evaluations an image at the
    most, the final generation included; seconds, after which no round begins (anytime algorithms only). dataset: names
    for the classes of a Model of your own. search_nfe, final_nfe: of a candidate, of the final generation. draft: how
    candidates are made where the whole network is too dear (docs/how-to/drafts.md).
    batch_size: network rows at a time, which bounds the memory whatever n is (paths holds the latents of a round, too).
    progress: a bar; None: on a terminal. Ctrl-C gives the best so far.
    """
    given = {"n": n, "nfe": nfe, "seconds": seconds}
    require_one(given)
    numbers: dict[str, Any] = {"search_nfe": search_nfe, "final_nfe": final_nfe, "cfg_scale": cfg_scale}
    numbers |= {"seed": seed, "device": device, "batch_size": batch_size}
    asked = order(model, conditions, verifier, algorithm, draft, dataset, numbers)
    point = point_of(asked, n, nfe)
    shown = sys.stderr.isatty() if progress is None else progress
    with torch.no_grad():
        return searched(asked, point, seconds, shown)


def render(
    model: str | Model | ModelSettings,
    conditions: Condition | Sequence[Condition],
    addresses: Sequence[Sequence[int]],
    *,
    algorithm: str | Algorithm = "random",
    dataset: str | Dataset | None = None,
    final_nfe: int | None = None,
    cfg_scale: float | None = None,
    seed: int = 0,
    device: str = "auto",
    batch_size: int | str = "auto",
) -> list[Image.Image]:
    """The images of `Found.addresses`, or of some of them with their conditions, without a search or a verifier.

    algorithm: the one that found them, with its settings: an address is read as its own; `first_order` has none.
    Cost an image: the final generation; of paths its own legs. The same to the bit where the same rows are computed
    together (paths: batch_size=1 in both calls), else to within rounding. final_nfe: as searched; of `none`, Found.nfe.
    """
    numbers: dict[str, Any] = {"final_nfe": final_nfe, "cfg_scale": cfg_scale, "seed": seed}
    numbers |= {"device": device, "batch_size": batch_size}
    asked = order(model, conditions, lambda images, texts: [0.0] * len(texts), algorithm, "none", dataset, numbers)
    tracing = require_addresses(addresses, asked.algorithm)
    if len(addresses) != len(asked.texts):
        raise Refused(f"addresses: {len(addresses)} for {len(asked.texts)} conditions")
    problem = asked.problem([image for image, *_ in addresses])
    with torch.no_grad():
        x, t = tracing.remake(problem, [lineage for _, *lineage in addresses])
        return finished(problem, unsearched(problem)._replace(x=x, t=t), problem.final_nfe)[0]


def require_addresses(addresses: Sequence[Sequence[int]], algorithm: Algorithm) -> Traceable:
    """The algorithm, if it has addresses, and these could be its own."""
    if not isinstance(algorithm, Traceable):
        raise Refused(f"algorithm {algorithm.name} has no addresses: the same search finds its images again")
    if not isinstance(addresses, Sequence):
        raise Refused(f"addresses={addresses!r}: a list, as search returns it")
    for address in addresses:
        if not (isinstance(address, Sequence) and all(whole(number) and 0 <= number < 2**63 for number in address)):
            raise Refused(f"address {address!r}: whole numbers, at least 0")
        if not (address and algorithm.owns(address[1:])):
            raise Refused(f"address {address!r}: {algorithm.name} has {algorithm.address}")
    return algorithm


def require_one(given: dict[str, Any]) -> None:
    if sum(value is not None for value in given.values()) != 1:
        raise Refused(f"{', '.join(f'{k}={v}' for k, v in given.items())}: give exactly one of n, nfe and seconds")
    for name, value in given.items():
        if value is None:
            continue
        if name == "seconds" and not (finite(value) and value >= 0):
            raise Refused(f"seconds={value}: a number, at least 0")
        if name != "seconds" and not (whole(value) and value >= 1):
            raise Refused(f"{name}={value}: a whole number, at least 1")
