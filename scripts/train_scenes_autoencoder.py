"""Train the autoencoder of drawn scenes (configs/train/scenes_autoencoder.yaml), then write its averaged weights.

Loss: L1, in which pixels of objects and their neighbours count more. With `start` only the decoder is
trained on, for the latents that there are. Resumable: the same command goes on from `folder`.
"""

from pathlib import Path

import hydra
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.nn import functional as F

from noise_search.networks.precision import dtype_of
from noise_search.networks.scene_autoencoder import SceneAutoencoder
from noise_search.scenes.draw import BACKGROUND
from noise_search.storage.weights import load_weights, save_weights
from noise_search.training.loop import train
from noise_search.training.scenes_set import training_scenes


def importance(x: Tensor, extra: float) -> Tensor:
    """[N, 1, 32, 32], mean 1: 1 on the background, 1 + extra within two pixels of an object."""
    drawn = (x - (BACKGROUND / 127.5 - 1)).abs().amax(1, keepdim=True) > 0.02
    weight = 1 + extra * F.max_pool2d(drawn.float(), 5, stride=1, padding=2)
    return weight / weight.mean()


@torch.no_grad()
def standardise(net: SceneAutoencoder, images: Tensor) -> None:
    """Measure the averaged encoder's own code: images uint8 [N, 3, 32, 32]."""
    code = torch.cat([net.encoder(x.float() / 127.5 - 1).float() for x in images.split(500)])
    net.standard.running_mean.copy_(code.mean((0, 2, 3)))
    net.standard.running_var.copy_(code.var((0, 2, 3)))


@hydra.main(version_base="1.3", config_path="../configs/train", config_name="scenes_autoencoder")
def main(cfg: DictConfig) -> None:
    torch.manual_seed(cfg.seed)
    device, dtype = torch.device(cfg.device), dtype_of(cfg.precision)
    pictures, _ = training_scenes(Path(cfg.scenes), cfg.count, cfg.scenes_seed)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2)
    net = SceneAutoencoder(cfg.latent, tuple(cfg.widths)).to(device, memory_format=torch.channels_last)
    if cfg.start:
        net.load_state_dict(load_weights(Path(cfg.start), "standard.running_var")[0])
        net.encoder.requires_grad_(False)
        net.standard.eval()

    def terms(x: Tensor, noise: float) -> dict[str, Tensor]:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            y = net(x, noise)
        error = (y.float() - x).abs() * importance(x, cfg.extra)
        return {"loss": error.mean()}

    compiled = torch.compile(terms) if cfg.compile else terms

    def loss(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([cfg.seed, step])
        rows = torch.from_numpy(rng.integers(len(images), size=cfg.batch_size))
        x = images[rows].to(device).float() / 127.5 - 1
        return compiled(x.contiguous(memory_format=torch.channels_last), cfg.noise)

    optimizer = torch.optim.AdamW(net.parameters(), lr=cfg.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    average, spent = train(Path(cfg.folder), net, [optimizer], loss, cfg.minutes)
    if not cfg.start:
        standardise(average.net, images[:5000].to(device))
    card = {"images_seen": spent["steps"] * cfg.batch_size} | spent
    print(card)
    save_weights(Path(cfg.out), average.net.state_dict(), {"config": OmegaConf.to_container(cfg), "measured": card})


if __name__ == "__main__":
    main()
