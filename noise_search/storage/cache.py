"""What is made once from the same content and kept: heads from labelled images, text features, features and
statistics of real images."""

import hashlib
import logging
import zlib
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from noise_search.storage.atomic import replacing
from noise_search.storage.cache_folder import digest as digest
from noise_search.storage.cache_folder import folder as folder

log = logging.getLogger("noise_search")


class Damaged(Exception):
    """A file is not as it was written."""


def state_digest(net: nn.Module) -> str:
    """sha256 over the names and values of a network's weights, wherever they came from."""
    out = hashlib.sha256()
    for name, value in net.state_dict().items():
        out.update(name.encode())
        out.update(value.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return out.hexdigest()


def libraries() -> str:
    """The versions of what computes features of images: a part of their keys."""
    found = {}
    for name in ("torch", "torchvision", "timm", "diffusers"):
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return str(found)


def cached(kind: str, key: str, make: Callable[[], Tensor]) -> Tensor:
    """make(), or what it returned when it was last called for the same `key` (a digest of all that it depends on)."""
    return cached_tensors(kind, key, lambda: {"value": make()})["value"]


def kept_numbers(kind: str, key: str, make: Callable[[], dict[str, float]]) -> dict[str, float]:
    """The same of several named numbers."""
    found = cached_tensors(kind, key, lambda: {name: torch.tensor(x, dtype=torch.double) for name, x in make().items()})
    return {name: value.item() for name, value in found.items()}


def is_kept(kind: str, key: str) -> bool:
    """Is anything kept for this key?"""
    return path_of(kind, key).is_file()


def path_of(kind: str, key: str) -> Path:
    return folder() / f"{kind}-{key[:32]}.safetensors"


def cached_tensors(
    kind: str, key: str, make: Callable[[], dict[str, Tensor]], card: dict[str, str] | None = None
) -> dict[str, Tensor]:
    """The same of several named tensors; card: what they were made from, for whoever opens the file.

    Written whole or not at all, with a checksum: a file that is not as it was written is made again. Where nothing can
    be written, nothing is kept.
    """
    path = path_of(kind, key)
    with suppress(OSError, SafetensorError, Damaged):  # not there, or damaged: made again
        return read(path)
    tensors = {name: value.contiguous() for name, value in make().items()}
    try:
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={**(card or {}), "crc32": checksum(tensors)})
    except OSError as error:
        log.warning("%s could not be kept, and is made again next time (%s)", path, error.strerror)
    return tensors


def read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file as they were written."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        if (file.metadata() or {}).get("crc32") != checksum(tensors):
            raise Damaged(str(path))
    return tensors


def checksum(tensors: dict[str, Tensor]) -> str:
    """CRC-32 over names, types, shapes and values."""
    out = 0
    for name, value in sorted(tensors.items()):
        out = zlib.crc32(f"{name} {value.dtype} {list(value.shape)}".encode(), out)
        out = zlib.crc32(value.reshape(-1).view(torch.uint8).numpy().data, out)
    return f"{out:08x}"
