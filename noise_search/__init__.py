"""Inference-time search of better diffusion noises. `search` and `render` are the front door; no torch until then."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from noise_search.api import from_diffusers, render, search

__all__ = ["from_diffusers", "render", "search"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from noise_search import api

    return getattr(api, name)
