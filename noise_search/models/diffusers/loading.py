"""A pipeline from its folder, onto a device; and whether it is what the settings said of it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch

from noise_search.core.model import Model
from noise_search.errors import Refused
from noise_search.models.diffusers.families import family_of

if TYPE_CHECKING:
    from noise_search.models.diffusers.pretrained import Pretrained


def loaded(settings: Pretrained, device: str) -> Any:
    """The pipeline, offloaded as `settings.offload` says. Only safetensors are read, and only from the folder."""
    try:
        from diffusers import DiffusionPipeline
    except ImportError as error:
        raise Refused("model: diffusers is not installed; `pip install noise_search[text]`") from error
    how = {"torch_dtype": getattr(torch, settings.precision), "use_safetensors": True, "local_files_only": True}
    with warnings.catch_warnings():  # all versions know `torch_dtype`; newer ones would rather have `dtype`
        warnings.filterwarnings("ignore", ".*torch_dtype", FutureWarning)
        pipe = DiffusionPipeline.from_pretrained(settings.folder, **how, **settings.replaced(**how))
    if settings.offload == "model":
        pipe.enable_model_cpu_offload(device=device)
    elif settings.offload == "sequential":
        pipe.enable_sequential_cpu_offload(device=device)
    else:
        pipe.to(device)
    return pipe


def refuse_another(settings: Pretrained, pipe: Any, model: Model) -> None:
    """What the plan said of the pipeline must hold."""
    family, scheduler = family_of(pipe), type(pipe.scheduler).__name__
    stand_in = None if scheduler in family.schedulers else family.stand_in
    if stand_in != settings.stand_in:
        told = f"{stand_in or 'null'}, for {scheduler} of model.folder={settings.folder}"
        raise Refused(f"model.stand_in={settings.stand_in}: {told}")
    for name in ("shape", "classes", "distilled"):
        said, found = getattr(settings, name), getattr(model, name)
        if said != found:
            raise Refused(f"model.folder={settings.folder}: its {type(pipe).__name__} has {name}={found}, not {said}")
