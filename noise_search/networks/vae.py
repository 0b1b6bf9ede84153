"""The VAE of Stable Diffusion (diffusers' AutoencoderKL), the decoder of every published SiT and DiT."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noise_search.core.denoiser import Batches
from noise_search.errors import MissingFile, Refused
from noise_search.networks.files import fetched, loaded
from noise_search.networks.precision import dtype_of
from noise_search.storage.cache import state_digest

WEIGHTS = "diffusion_pytorch_model.safetensors"
LATENTS = {"cpu": 8, "cuda": 32}  # of 32 x 32, for images of 256 x 256, decoded at once: 1.5 and 6 GB in float32
Map = Callable[[Tensor], Tensor]


def rows_at_once(side: int, device: str) -> int:
    """How many latents of side x side are decoded at once, to begin with: larger ones fewer, so that memory does not
    grow with them."""
    return max(1, LATENTS.get(torch.device(device).type, 1) * 32**2 // side**2)


def load_vae(source: str, channels: int, precision: str, rows: int, device: str) -> tuple[Map, Map, dict[str, str]]:
    """decode: latents [N, channels, h, w] -> images [N, 3, 8 h, 8 w]; reconstruct: images -> images; and a digest.

    source: a diffusers folder, or one that has it as vae/, or hub:owner/name. rows: how many are decoded at once, or
    fewer where the device has no memory for them: it bounds the memory, and changes no result. precision: "float32" or
    "bfloat16" (autocast). Only safetensors are read (diffusers would run the code in a pickle), and every tensor must
    be there (it would make up the rest).
    """
    try:
        from diffusers import AutoencoderKL
    except ImportError as error:
        raise Refused("model.vae: diffusers is not installed; `pip install noise_search[imagenet]`") from error
    key = "model.vae"
    hub = source.startswith("hub:")
    what = "an AutoencoderKL of diffusers; `python scripts/fetch_weights.py vae` fetches it"
    folder = Path(source) / "vae" if (Path(source) / "vae").is_dir() else Path(source)
    name = source.removeprefix("hub:") if hub else str(folder)

    def load() -> Any:
        return AutoencoderKL.from_pretrained(
            name, low_cpu_mem_usage=False, use_safetensors=True, output_loading_info=True
        )

    if hub:
        vae, found = fetched(load, key, what, f"hf download {name} --local-dir weights/{Path(name).name}")
    else:
        if (folder / "config.json").is_file() and not (folder / WEIGHTS).is_file():
            raise MissingFile(f"{key}={folder}: holds no {WEIGHTS}, the only kind of file that is read ({what})")
        vae, found = loaded(load, str(folder / "config.json"), key, what)
    for problem in ("missing", "unexpected"):
        if names := sorted(found[f"{problem}_keys"]):
            raise Refused(f"{key}={source}: {len(names)} {problem} tensors, {names[0]} first: not {what}")
    scale = vae.config.scaling_factor
    more = [name for name in ("shift_factor", "latents_mean", "latents_std") if vae.config.get(name) is not None]
    if not isinstance(scale, int | float) or not scale > 0 or more:
        raise Refused(f"{key}={source}: scaling_factor {scale!r}{', '.join(['', *more])} in config.json: not {what}")
    if vae.config.latent_channels != channels:
        raise Refused(f"{key}={source}: latents of {vae.config.latent_channels} channels, the model's have {channels}")
    vae = vae.to(memory_format=torch.channels_last).to(device).eval().requires_grad_(False)
    kind, dtype, batches = torch.device(device).type, dtype_of(precision), Batches(rows, "latents to decode")

    def decode(x: Tensor) -> Tensor:
        with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
            return torch.cat(batches(lambda part: vae.decode(part / scale).sample, x)).float()

    def reconstruct(images: Tensor) -> Tensor:
        with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
            means = batches(lambda part: vae.encode(part).latent_dist.mode(), images)
        return decode(torch.cat(means).float() * scale)

    return decode, reconstruct, {"vae": state_digest(vae)}
