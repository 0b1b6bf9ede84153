"""The networks of the embedded model, from the files that scripts/train_*.py write."""

from pathlib import Path

import torch

from noise_search.networks.autoencoder import ConvAutoencoder
from noise_search.networks.transformer import DiffusionTransformer
from noise_search.storage.weights import load_weights


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
