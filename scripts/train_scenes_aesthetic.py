"""Train the critic of drawn scenes (configs/train/scenes_aesthetic.yaml), then write its averaged weights.

It learns to tell renders from spoilt ones: blurred, noisy, bent, crossed with another, or through the autoencoder with
noise in its code. It sees no caption, no model's samples and nothing that the reader says. Resumable: the same command
goes on from `folder`.
"""

import json
from pathlib import Path

import hydra
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor
from torch.nn import functional as F

from noise_search.core.images import images_to_tensor
from noise_search.networks.scene_towers import Critic
from noise_search.networks.scenes import load_scene_autoencoder
from noise_search.storage.weights import save_weights
from noise_search.training.loop import train
from noise_search.training.scene_damage import DAMAGES, Damage, coded
from noise_search.training.scenes_set import chunk, training_scenes


def spoilt(x: Tensor, damages: list[Damage], least: float) -> Tensor:
    """Pictures [N, ...], each share of the batch by another damage."""
    strength = least + (1 - least) * torch.rand(len(x), 1, 1, 1, device=x.device)
    parts = zip(damages, x.tensor_split(len(damages)), strength.tensor_split(len(damages)), strict=True)
    return torch.cat([damage(part, how) for damage, part, how in parts])


@torch.inference_mode()
def measured(net: Critic, images: Tensor, damages: list[Damage]) -> dict[str, float]:
    """The share of pictures that score higher clean than spoilt, by damage at half its strength."""
    torch.manual_seed(1)
    half, clean, out = torch.full((len(images), 1, 1, 1), 0.5), net(images), dict[str, float]()
    for damage in damages:
        out[damage.__name__] = round(float((clean > net(damage(images, half))).float().mean()), 4)
    return out


@hydra.main(version_base="1.3", config_path="../configs/train", config_name="scenes_aesthetic")
def main(cfg: DictConfig) -> None:
    torch.manual_seed(cfg.seed)
    device = torch.device(cfg.device)
    pictures, _ = training_scenes(Path(cfg.scenes), cfg.count, cfg.scenes_seed)
    net = Critic(cfg.widths).to(device, memory_format=torch.channels_last)
    damages = list(DAMAGES)
    if cfg.autoencoder:
        coder = load_scene_autoencoder(Path(cfg.autoencoder)).to(device)
        damages.append(coded(coder.encode, coder.decode, cfg.noise))

    def loss(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([cfg.seed, step])
        torch.manual_seed(int(rng.integers(2**31)))
        x = images_to_tensor(pictures[rng.integers(len(pictures), size=cfg.batch_size)], device)
        half = len(x) // 2
        x = torch.cat([x[:half], spoilt(x[half:], damages, cfg.least)])
        x = x + 0.01 * torch.randn_like(x)
        target = (torch.arange(len(x), device=device) < half).float()
        odds = net(x.contiguous(memory_format=torch.channels_last))
        right = ((odds > 0) == (target > 0)).float().mean()
        return {"loss": F.binary_cross_entropy_with_logits(odds, target), "right": right}

    optimizer = torch.optim.AdamW(net.parameters(), lr=cfg.learning_rate, betas=(0.9, 0.98), weight_decay=0.02)
    average, spent = train(Path(cfg.folder), net, [optimizer], loss, cfg.minutes, cfg.decay)
    fresh = images_to_tensor(np.concatenate([chunk(10_000, i)[0] for i in range(-(-cfg.tested // 1000))])[: cfg.tested])
    card = {"cleaner": measured(average.net.cpu(), fresh, damages), "images_seen": spent["steps"] * cfg.batch_size}
    print(json.dumps(card | spent))
    config = OmegaConf.to_container(cfg)
    save_weights(Path(cfg.out), average.net.state_dict(), {"config": config, "measured": card | spent})


if __name__ == "__main__":
    main()
