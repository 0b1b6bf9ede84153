"""From a description to the parts of a run: every network loaded, and all behind the model tried on a blank image."""

import json
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import numpy as np
import torch

from noise_search.core.denoiser import Batches
from noise_search.core.images import tensor_to_images
from noise_search.core.model import ModelSettings, load_model
from noise_search.core.verifier import Surroundings, Verifier, load_verifier
from noise_search.errors import Refused
from noise_search.measures.judge import load_judge
from noise_search.measures.metric import Value, measures_of
from noise_search.networks.precision import fast_precision
from noise_search.run.description import Description
from noise_search.run.fit import verifiers_in
from noise_search.run.parts import Parts, Tuning, begin
from noise_search.run.tuning import tune

Part = TypeVar("Part", ModelSettings, Verifier)
LIBRARIES = (
    *("torch", "torchvision", "timm", "numpy", "hydra-core", "wandb", "pyarrow"),
    *("diffusers", "transformers", "tokenizers", "open_clip_torch", "torch-fidelity"),
)


def assemble(run: Description) -> Parts:
    """Load every network onto the device."""
    device = device_of(run.settings.device, run.worker.local)
    precision = precision_of(run.settings.precision, device)
    settle = partial(settled, precision=precision)
    run = replace(run, model=settle(run.model), draft=run.draft.settled(settle))
    for _, verifier in verifiers_in(run.verifier, run.choices["verifier"]):
        settled(verifier, precision)
    judge = load_judge(run.judge, device, run.dataset.texts, run.more_metrics.values())
    into = Surroundings(device, run.dataset, judge if run.verifier.needs_judge else None)
    verifier, model = load_verifier(run.verifier, into), load_model(run.model, device)
    parts = Parts(
        run=run,
        model=model,
        verifier=verifier,
        judge=judge,
        device=device,
        draft=run.draft.load(model, run.model, device),
        batches=Batches(2),
        made_with={"settings": run.digest, "versions": json.dumps(versions())},
        tuning=Tuning(2, False, precision),  # the rest until it is found
    )
    try_out(parts)
    return replace(parts, tuning=tune(parts))


def settled(part: Part, precision: str) -> Part:
    """A part that leaves its precision to the run, in that of the run; settings are replaced, verifiers changed."""
    left: dict[str, Any] = {
        name: precision for name in ("precision", "vae_precision") if getattr(part, name, None) == "auto"
    }
    if isinstance(part, ModelSettings):
        return replace(part, **left)
    for name, value in left.items():
        setattr(part, name, value)
    return part


def precision_of(precision: str, device: str) -> str:
    """ "auto": the faster one on this device."""
    return fast_precision(device) if precision == "auto" else precision


def device_of(device: str, local: int = 0) -> str:
    """ "auto": this worker's GPU where there are any; local: its number on this machine."""
    if device == "auto":
        return f"cuda:{local % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise Refused(f"device={device}: no CUDA device here; use device=cpu or device=auto")
    return device


def try_out(parts: Parts) -> None:
    """Two blank images go through verifier and judge: what would end the run after its search ends it here."""
    model, run = parts.model, parts.run
    problem = begin(parts, [0, 1])
    run.algorithm.init(problem, run.plan.purchases[-1].point)
    with torch.no_grad():
        blank = torch.zeros(2, *model.shape, device=parts.device)
        image = problem.flow.decode(blank)
        size = "x".join(map(str, image.shape[1:]))
        with noted(f"verifier {parts.verifier.name}, trying two blank images of {model.name}, {size}"):
            scores = problem.score(blank[:, None], blank.new_zeros(2, 1, len(parts.verifier.needs), *model.shape))
        features = parts.judge.features(tensor_to_images(image))
        seen = features[:, parts.judge.main.columns]
        if seen.shape[1] != len(parts.judge.main.gaussian.mean):
            raise Refused(f"metrics on {parts.judge.network} do not fit {model.name}'s {size} images")
    try_metrics(parts, tensor_to_images(image), features, run.dataset.index([0, 1]))
    tried = {f"the decoder of {model.name}": image, f"verifier {parts.verifier.name}": scores}
    for what, values in (tried | {f"metrics on {parts.judge.network}": torch.from_numpy(seen)}).items():
        if not values.isfinite().all():
            raise Refused(f"{what}: what it makes of a blank image is not finite; are its weights damaged?")


def try_metrics(parts: Parts, images: np.ndarray, features: np.ndarray, index: np.ndarray) -> None:
    """Every metric on two images."""
    for metric in parts.judge.metrics:
        with noted(f"metric {metric.name}, trying two blank images of {parts.model.name}"):
            if metric.of_set is None:
                fits = bool(np.isfinite(measures_of([metric], images, index)).all())
            else:
                fits = isinstance(metric.of_set(features, index), Value)
        if not fits:
            raise Refused(f"metric {metric.name}: what it makes of a blank image is no finite number")


@contextmanager
def noted(what: str) -> Iterator[None]:
    """An error from here on is a bug of that part, and says so in its traceback."""
    try:
        yield
    except Exception as error:
        error.add_note(what)
        raise


def versions() -> dict[str, str]:
    """Of Python and the libraries whose version can matter."""
    out = {"Python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):  # some are needed by some groups only
            out[name] = version(name)
    return out
