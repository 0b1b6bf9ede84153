"""A pipeline from its folder, onto a device; and whether it is what the settings said of it."""

from __future__ import annotations

import logging
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from noise_search.core.model import Model
from noise_search.errors import Refused
from noise_search.models.diffusers.families import family_named, family_of
from noise_search.models.diffusers.folder import INDEX, read_json
from noise_search.storage.weights import told

if TYPE_CHECKING:
    from noise_search.models.diffusers.pretrained import Pretrained

log = logging.getLogger("noise_search")
NEAR = 1e-4  # of two schedulers' times


def loaded(settings: Pretrained, device: str) -> Any:
    """The pipeline, offloaded as `settings.offload` says."""
    for package in ("diffusers", "transformers"):
        if find_spec(package) is None:
            raise Refused(f"model: {package} is not installed; `pip install noise_search[text]`")
    if settings.offload in ("model", "sequential") and find_spec("accelerate") is None:
        raise Refused(f"model.offload={settings.offload}: accelerate is not installed; `pip install accelerate`")
    what = f"model.folder={settings.folder}"
    family_named(str(read_json(Path(settings.folder) / INDEX).get("_class_name")), what)
    try:
        pipe = read(settings)
    except (MemoryError, torch.OutOfMemoryError):  # not the folder's fault
        raise
    except Exception as error:  # damaged or missing files, another version's settings: libraries say it in many ways
        again = f"remove what is damaged, then `noise-search prefetch model={settings.name}` fetches it again"
        raise Refused(f"{what}: cannot be loaded ({told(error)}); {again}") from error
    if settings.offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif settings.offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.to(device)
    return pipe


def read(settings: Pretrained) -> Any:
    """The pipeline in the memory of the host. Only safetensors are read, and only from the folder."""
    import diffusers
    import transformers

    if not sys.stderr.isatty():  # bars are for terminals: elsewhere each of their states is a line
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
    how = {"torch_dtype": getattr(torch, settings.precision), "use_safetensors": True, "local_files_only": True}
    with warnings.catch_warnings():  # all versions know `torch_dtype`; newer ones would rather have `dtype`
        warnings.filterwarnings("ignore", ".*torch_dtype", FutureWarning)
        return diffusers.DiffusionPipeline.from_pretrained(settings.folder, **how, **settings.replaced(**how))


def refuse_another(settings: Pretrained, pipe: Any, model: Model) -> None:
    """What the plan said of the pipeline must hold."""
    family, scheduler = family_of(pipe), type(pipe.scheduler).__name__
    stand_in = None if scheduler in family.schedulers else family.stand_in
    if stand_in != settings.stand_in:
        wanted = f"{stand_in or 'null'}, for {scheduler} of model.folder={settings.folder}"
        raise Refused(f"model.stand_in={settings.stand_in}: {wanted}")
    for name in ("shape", "classes", "distilled"):
        said, found = getattr(settings, name), getattr(model, name)
        if said != found:
            raise Refused(f"model.folder={settings.folder}: its {type(pipe).__name__} has {name}={found}, not {said}")
    refuse_other_times(settings, model)


def refuse_other_times(settings: Pretrained, model: Model) -> None:
    """The settings' own schedule must be the pipeline's; one that was given may be another, which is told."""
    assert settings.schedule is not None and model.steps is not None
    ours, own = (schedule(model.steps, solver="euler").times for schedule in (settings.schedule, model.schedule))
    if all(abs(t - s) < NEAR for t, s in zip(ours, own, strict=True)):
        return
    first = ", ".join(f"{t:.4f}" for t in ours[:3])
    other = f"{model.steps} steps at t = {first}, ...; the pipeline's own at {', '.join(f'{t:.4f}' for t in own[:3])}"
    if settings.schedule == settings.own_schedule():
        raise Refused(f"model.shift={settings.shift}, model.patch={settings.patch}: {other}, ...")
    log.warning("model.schedule: %s, ...", other)
