"""The VAE of Stable Diffusion (diffusers' AutoencoderKL), the decoder of every published SiT and DiT."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noise_search.errors import MissingFile, Refused
from noise_search.networks.precision import dtype_of
from noise_search.networks.vision import fetched, loaded
from noise_search.storage.cache import state_digest

WEIGHTS = "diffusion_pytorch_model.safetensors"
Map = Callable[[Tensor], Tensor]


def load_vae(source: str, channels: int, precision: str, rows: int, device: str) -> tuple[Map, Map, dict[str, str]]:
    """decode: latents [N, channels, h, w] -> images [N, 3, 8 h, 8 w]; reconstruct: images -> images; and a digest.

    source: a diffusers folder, or one that has it as vae/, or hub:owner/name. rows: how many are decoded at once:
    it bounds the memory, and changes no result. precision: "float32" or "bfloat16" (autocast). Only safetensors are
    read (diffusers would run the code in a pickle), and every tensor must be there (it would make up the rest).
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
    vae, dtype = vae.to(device).eval().requires_grad_(False), dtype_of(precision)
    kind = torch.device(device).type

    def decode(x: Tensor) -> Tensor:
        with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
            return torch.cat([vae.decode(part / scale).sample for part in x.split(rows)]).float()

    def reconstruct(images: Tensor) -> Tensor:
        with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
            means = [vae.encode(part).latent_dist.mode() for part in images.split(rows)]
        return decode(torch.cat(means).float() * scale)

    return decode, reconstruct, {"vae": state_digest(vae)}
