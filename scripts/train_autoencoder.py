"""Train the convolutional autoencoder on CIFAR-10 (configs/train/autoencoder.yaml), then write its averaged weights.

Loss: L1 + perceptual distance on EfficientNet-Lite0 features + alignment of the code with those features.
Resumable: the same command goes on from `folder`. Needs data/cifar10.npz.
"""

from pathlib import Path

import hydra
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from noise_search.datasets.cifar10 import load_cifar10
from noise_search.networks.autoencoder import ConvAutoencoder
from noise_search.networks.efficientnet import EfficientNetLite
from noise_search.storage.weights import save_weights
from noise_search.training.loop import train


class Trained(nn.Module):
    """The autoencoder and the linear map that its alignment loss needs; only the first is kept."""

    def __init__(self, autoencoder: ConvAutoencoder, latent: int) -> None:
        super().__init__()
        self.autoencoder, self.align = autoencoder, nn.Conv2d(latent, 112, 1)


def perceptual(a: Tensor, b: Tensor) -> Tensor:
    return (F.normalize(a.float(), dim=1) - F.normalize(b.float(), dim=1)).square().sum(1).mean()


@torch.no_grad()
def psnr(net: ConvAutoencoder, images: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of uint8 reconstructions, mean squared error pooled over the images."""
    errors = []
    for batch in images.split(500):
        decoded = net.decode(net.encode(batch)).clamp(-1, 1)
        errors.append(((decoded - batch) * 127.5).round().square().mean().cpu())
    return float(10 * torch.log10(255**2 / torch.stack(errors).mean()))


@hydra.main(version_base="1.3", config_path="../configs/train", config_name="autoencoder")
def main(cfg: DictConfig) -> None:
    torch.manual_seed(cfg.seed)
    device = torch.device(cfg.device)
    images = torch.from_numpy(load_cifar10("train")[0]).permute(0, 3, 1, 2)
    autoencoder = ConvAutoencoder(cfg.latent, tuple(cfg.widths), tuple(cfg.depths))
    autoencoder.start_at_principal_components(images[:5000].float() / 127.5 - 1)
    net = Trained(autoencoder, cfg.latent).to(device, memory_format=torch.channels_last)
    features = EfficientNetLite(0, resolution=64).to(device)
    half = int(cfg.perceptual_share * cfg.batch_size)

    def terms(x: Tensor) -> dict[str, Tensor]:
        with torch.autocast(device.type, torch.bfloat16):
            code = net.autoencoder.raw_code(x)
            y = net.autoencoder.from_raw_code(code + cfg.noise * torch.randn_like(code))
            with torch.no_grad():
                target = features.stages(x[:half])
            found = features.stages(y[:half])
            aligned = net.align(code[:half])
        out = {"l1": (y.float() - x).abs().mean(), "penalty": code.float().square().mean()}
        out["perceptual"] = sum(perceptual(target[i], found[i]) for i in (1, 2, 4))
        out["align"] = 1 - F.cosine_similarity(aligned.float(), target[4].float(), dim=1).mean()
        weighted = cfg.penalty * out["penalty"] + cfg.perceptual * out["perceptual"] + cfg.align * out["align"]
        out["loss"] = out["l1"] + weighted
        return out

    compiled = torch.compile(terms) if cfg.compile else terms

    def loss(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([cfg.seed, step])
        batch = images[rng.integers(len(images), size=cfg.batch_size)].to(device)
        x = batch.float() / 127.5 - 1
        flip = torch.from_numpy(rng.random(cfg.batch_size) < 0.5).to(device)
        x = torch.where(flip[:, None, None, None], x.flip(3), x).contiguous(memory_format=torch.channels_last)
        return compiled(x)

    optimizer = torch.optim.AdamW(net.parameters(), lr=cfg.learning_rate, betas=(0.9, 0.99), weight_decay=0.01)
    average, spent = train(Path(cfg.folder), net, [optimizer], loss, cfg.minutes)
    result = average.net.autoencoder
    with torch.no_grad():
        code = torch.cat([result.raw_code(x.to(device).float() / 127.5 - 1) for x in images.split(500)])
        result.mean.copy_(code.mean((0, 2, 3)))
        result.std.fill_((code - result.mean[:, None, None]).square().mean().sqrt())
        test = torch.from_numpy(load_cifar10("test")[0]).permute(0, 3, 1, 2).float() / 127.5 - 1
        card = {"psnr_test_db": psnr(result, test.to(device)), "images_seen": spent["steps"] * cfg.batch_size} | spent
    print(card)
    save_weights(Path(cfg.out), result.state_dict(), {"config": OmegaConf.to_container(cfg), "measured": card})


if __name__ == "__main__":
    main()
