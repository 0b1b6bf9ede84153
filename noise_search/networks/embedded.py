"""The networks of the embedded model, from the files that scripts/train_*.py write."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noise_search.networks.autoencoder import ConvAutoencoder
from noise_search.networks.transformer import DiffusionTransformer
from noise_search.storage.weights import load_weights

DECODED = {"cpu": 256, "cuda": 4096}  # pictures that an autoencoder makes at a time
Map = Callable[[Tensor], Tensor]


def through(coder: Any, dtype: torch.dtype, kind: str) -> tuple[Map, Map]:
    """latents -> images and images -> images, through an autoencoder that computes in `dtype` on a kind of device."""

    def parts(call: Map, x: Tensor) -> Tensor:
        with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
            return torch.cat([call(part) for part in x.split(DECODED[kind])]).float()

    return lambda x: parts(coder.decode, x), lambda images: parts(lambda part: coder.decode(coder.encode(part)), images)


def load_autoencoder(path: Path) -> ConvAutoencoder:
    """The autoencoder of a file that scripts/train_autoencoder.py wrote, in evaluation mode, float32."""
    state, card = load_weights(path, "linear_in.weight")
    config = card["config"]
    net = ConvAutoencoder(config["latent"], tuple(config["widths"]), tuple(config["depths"]))
    net.load_state_dict(state)
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def load_sit(path: Path) -> DiffusionTransformer:
    """The SiT of a file that scripts/train_sit.py wrote, in evaluation mode, float32."""
    state, card = load_weights(path, "pos_embed")
    net = DiffusionTransformer(**card["config"]["net"])
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)
