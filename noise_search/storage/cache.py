"""What is made once from the same content and kept: heads from labelled images, text features, reference statistics."""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from noise_search.storage.atomic import replacing


def folder() -> Path:
    """$NOISE_SEARCH_CACHE, else ~/.cache/noise_search."""
    return Path(os.environ.get("NOISE_SEARCH_CACHE") or Path.home() / ".cache" / "noise_search")


def digest(*parts: str | bytes) -> str:
    """sha256 over the parts, in hexadecimal."""
    out = hashlib.sha256()
    for part in parts:
        out.update(part.encode() if isinstance(part, str) else part)
        out.update(b"\0")
    return out.hexdigest()


def state_digest(net: nn.Module) -> str:
    """sha256 over the names and values of a network's weights, wherever they came from."""
    out = hashlib.sha256()
    for name, value in net.state_dict().items():
        out.update(name.encode())
        out.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return out.hexdigest()


def cached(kind: str, key: str, make: Callable[[], Tensor]) -> Tensor:
    """make(), or what it returned when it was last called for the same `key` (a digest of all that it depends on)."""
    return cached_tensors(kind, key, lambda: {"value": make()})["value"]


def cached_tensors(
    kind: str, key: str, make: Callable[[], dict[str, Tensor]], card: dict[str, str] | None = None
) -> dict[str, Tensor]:
    """The same of several named tensors; card: what they were made from, for whoever opens the file."""
    path = folder() / f"{kind}-{key[:32]}.safetensors"
    with suppress(FileNotFoundError, SafetensorError):  # not there, or damaged: made again
        return load_file(path)
    tensors = {name: value.contiguous() for name, value in make().items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=card)
    return load_file(path)
