"""The embedded default: a latent SiT trained on CIFAR-10, with its autoencoder."""

from pathlib import Path

import torch
from torch import Tensor

from noise_search.assets import asset
from noise_search.core.interpolant import LinearInterpolant
from noise_search.core.model import Model
from noise_search.networks.autoencoder import ConvAutoencoder
from noise_search.networks.sit import SiTNetwork
from noise_search.networks.transformer import DiffusionTransformer
from noise_search.storage.atomic import sha256
from noise_search.storage.weights import dtype_of, load_weights

ROWS = {"cpu": 256, "cuda": 4096}  # where the denoiser's rate stops growing


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


def embedded_sit(
    name: str,
    weights: str | None = None,
    autoencoder: str | None = None,
    precision: str = "bfloat16",
    compile: bool = False,
    device: str = "cpu",
) -> Model:
    """weights, autoencoder: files, by default those in the package; precision: "float32" or "bfloat16" (autocast).

    compile: let torch.compile fuse the SiT's operations; the first call takes half a minute.
    """
    paths = {
        "sit": Path(weights) if weights else asset("sit_cifar10.safetensors"),
        "autoencoder": Path(autoencoder) if autoencoder else asset("autoencoder.safetensors"),
    }
    dtype = dtype_of(precision)
    sit, coder = load_sit(paths["sit"]).to(device), load_autoencoder(paths["autoencoder"]).to(device)
    network, kind = SiTNetwork(sit, dtype), torch.device(device).type
    if compile:
        network.compile()

    def autocast() -> torch.autocast:
        return torch.autocast(kind, dtype, enabled=dtype != torch.float32)

    def decode(x: Tensor) -> Tensor:
        with autocast():
            return torch.cat([coder.decode(part) for part in x.split(ROWS[kind])]).float()

    def reconstruct(images: Tensor) -> Tensor:
        with autocast():
            return torch.cat([coder.decode(coder.encode(part)) for part in images.split(ROWS[kind])]).float()

    return Model(
        name=name,
        network=network,
        interpolant=LinearInterpolant(),
        shape=sit.shape,
        classes=sit.classes,
        decoder=decode,
        reconstruct=reconstruct,
        batch_size=ROWS[kind],
        weights={path.name: sha256(path) for path in paths.values()},
    )
