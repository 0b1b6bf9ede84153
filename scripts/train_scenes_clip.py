"""Train the dual encoder of drawn scenes (configs/train/scenes_clip.yaml), then write its averaged weights.

Contrastive loss on fresh renders and their captions; never on what the reader says, nor on a model's samples.
Resumable: the same command goes on from `folder`.
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
from noise_search.networks.scene_towers import DualEncoder
from noise_search.scenes.draw import BACKGROUND
from noise_search.scenes.language import LONGEST, VOCABULARY
from noise_search.storage.weights import save_weights
from noise_search.training.loop import train
from noise_search.training.scene_tests import told_apart
from noise_search.training.scenes_set import training_scenes


def moved(x: Tensor, rng: np.random.Generator, shift: int, noise: float) -> Tensor:
    """Pictures [N, 3, H, W] moved by the same few pixels, with noise of a random strength each."""
    dx, dy = (int(v) for v in rng.integers(-shift, shift + 1, 2))
    x = torch.roll(F.pad(x, [shift] * 4, value=BACKGROUND / 127.5 - 1), (dy, dx), (2, 3))
    x = x[:, :, shift : x.shape[2] - shift, shift : x.shape[3] - shift]
    return x + noise * torch.rand(len(x), 1, 1, 1) * torch.randn(x.shape)


def contrast(net: DualEncoder, x: Tensor, words: Tensor) -> Tensor:
    """Each picture is to find its caption among those of the batch, and each caption its picture; the same words twice
    are no mistake."""
    likeness = net.log_scale.exp().clamp(max=100) * net.see(x) @ net.hear(words).T
    same = (words[:, None] == words[None]).all(2)
    target = same.float() / same.sum(1, keepdim=True)
    return (F.cross_entropy(likeness, target) + F.cross_entropy(likeness.T, target)) / 2


@hydra.main(version_base="1.3", config_path="../configs/train", config_name="scenes_clip")
def main(cfg: DictConfig) -> None:
    torch.manual_seed(cfg.seed)
    device = torch.device(cfg.device)
    pictures, captions = training_scenes(Path(cfg.scenes), cfg.count, cfg.scenes_seed)
    net = DualEncoder(len(VOCABULARY), LONGEST, **cfg.net).to(device, memory_format=torch.channels_last)

    def loss(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([cfg.seed, step])
        torch.manual_seed(int(rng.integers(2**31)))
        rows = rng.integers(len(pictures), size=cfg.batch_size)
        x = moved(images_to_tensor(pictures[rows]), rng, cfg.shift, cfg.noise).to(device)
        words = torch.from_numpy(captions[rows]).long().to(device)
        return {"loss": contrast(net, x.contiguous(memory_format=torch.channels_last), words)}

    optimizer = torch.optim.AdamW(net.parameters(), lr=cfg.learning_rate, betas=(0.9, 0.98), weight_decay=0.02)
    average, spent = train(Path(cfg.folder), net, [optimizer], loss, cfg.minutes, cfg.decay)
    card = {"told_apart": told_apart(average.net.cpu(), cfg.tested), "images_seen": spent["steps"] * cfg.batch_size}
    print(json.dumps(card | spent))
    config = OmegaConf.to_container(cfg)
    save_weights(Path(cfg.out), average.net.state_dict(), {"config": config, "measured": card | spent})


if __name__ == "__main__":
    main()
