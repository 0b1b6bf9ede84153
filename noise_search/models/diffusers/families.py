"""The pipelines that can be searched, by the names of their classes in diffusers."""

from __future__ import annotations

from typing import Any

from noise_search.errors import Refused
from noise_search.models.diffusers.dit import DiT
from noise_search.models.diffusers.family import Family
from noise_search.models.diffusers.flux import Flux
from noise_search.models.diffusers.pixart import PixArtSigma
from noise_search.models.diffusers.sana import Sana
from noise_search.models.diffusers.sd3 import StableDiffusion3
from noise_search.models.diffusers.sdxl import StableDiffusionXL

FAMILIES: tuple[type[Family], ...] = (Flux, StableDiffusion3, StableDiffusionXL, PixArtSigma, Sana, DiT)


def family_of(pipe: Any) -> type[Family]:
    """Known by the class itself: one that inherits from a supported one (image to image, control) is another."""
    return family_named(type(pipe).__name__, "pipe")


def family_named(name: str, what: str) -> type[Family]:
    """what: has a pipeline of that class, for the message."""
    known = {name: family for family in FAMILIES for name in family.pipelines}
    if name not in known:
        raise Refused(f"{what}: {name} cannot be searched; these pipelines of diffusers can: {', '.join(known)}")
    return known[name]
