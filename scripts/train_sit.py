"""Train the latent SiT on CIFAR-10 (configs/train/sit.yaml), then write its averaged weights.

Flow matching on the autoencoder's latents (both mirror images), logit-normal times, 10 % of the labels dropped, errors
weighted by what a channel moves in the picture, and representation alignment with EfficientNet-Lite0 (a verifier's
network; Lite2, the judge, is not used). With a `teacher`, a smaller network learns the teacher's velocities instead of
the data's (distillation), from some of its blocks.
Resumable: the same command goes on from `folder`. Needs data/cifar10.npz and the autoencoder.
"""

from pathlib import Path

import hydra
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn
from torch.nn import functional as F

from noise_search.datasets.cifar10 import load_cifar10
from noise_search.networks.efficientnet import EfficientNetLite
from noise_search.networks.embedded import load_autoencoder, load_sit
from noise_search.networks.precision import dtype_of
from noise_search.networks.transformer import DiffusionTransformer, initialise
from noise_search.storage.atomic import sha256
from noise_search.storage.weights import load_weights, save_weights
from noise_search.training.loop import atomic_save, train
from noise_search.training.muon import Muon


@torch.no_grad()
def encode(images: Tensor, autoencoder: Path, path: Path, device: torch.device) -> Tensor:
    """Latents float16 [2, 50000, 32, 4, 4] of the images [50000, 3, 32, 32] as they are, and mirrored; in `path`."""
    if not path.is_file():
        net = load_autoencoder(autoencoder).to(device)
        mirrored = (images, images.flip(3))
        parts = [[net.encode(x.to(device).float() / 127.5 - 1).half().cpu() for x in y.split(250)] for y in mirrored]
        atomic_save(torch.stack([torch.cat(part) for part in parts]), path)
    return torch.load(path, weights_only=True)


@torch.no_grad()
def sensitivity(latents: Tensor, autoencoder: Path, device: torch.device, sigma: float = 0.2) -> Tensor:
    """[32]: how much noise in each channel moves the decoded pixels, as a multiple of the channels' mean."""
    net, x0 = load_autoencoder(autoencoder).to(device), latents.to(device).float()
    rng, plain, moved = torch.Generator().manual_seed(0), net.decode(x0), []
    for channel in range(x0.shape[1]):
        noisy = x0.clone()
        noisy[:, channel] += sigma * torch.randn(noisy[:, channel].shape, generator=rng).to(device)
        moved.append(F.mse_loss(net.decode(noisy), plain))
    return torch.stack(moved) / torch.stack(moved).mean()


@torch.no_grad()
def alignment_features(images: Tensor, path: Path, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Lite0's last features at 128 px, float16 [50000, 16, 320], kept in `path`."""
    if not path.is_file():
        lite, parts = EfficientNetLite(0, resolution=128).to(device), []
        for i, batch in enumerate(images.split(250)):
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                features = lite.stages(batch.to(device).float() / 127.5 - 1)[-1]
            parts.append(features.flatten(2).transpose(1, 2).half().cpu())
            if i % 20 == 0:
                print(f"features of {i * 250} images", flush=True)
        atomic_save(torch.cat(parts), path)
    return torch.load(path, weights_only=True)


class Aligned(nn.Module):
    """The SiT and the projection that representation alignment needs; only the first is kept."""

    def __init__(self, sit: DiffusionTransformer, width: int, block: int) -> None:
        super().__init__()
        self.sit, self.block = sit, block
        self.project = nn.Sequential(nn.Linear(width, 512), nn.SiLU(), nn.Linear(512, 320))

    def forward(self, x: Tensor, tau: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
        tokens, c = self.sit.embed(x), self.sit.condition(tau, label)
        aligned, rows = tokens, slice(None)
        for i, block in enumerate(self.sit.blocks):
            tokens = block(tokens, c, rows)
            if i + 1 == self.block:
                aligned = self.project(tokens)
        return self.sit.unembed(tokens, c, rows), aligned


def some_blocks(state: dict[str, Tensor], kept: list[int]) -> dict[str, Tensor]:
    """The state of a network with the blocks `kept` of that of `state`, in this order."""
    out = {name: value for name, value in state.items() if not name.startswith("blocks.")}
    for new, old in enumerate(kept):
        before = f"blocks.{old}."
        out |= {f"blocks.{new}.{k.removeprefix(before)}": v for k, v in state.items() if k.startswith(before)}
    return out


def make_optimizers(net: nn.Module, cfg: DictConfig) -> list[torch.optim.Optimizer]:
    parameters = {k: p for k, p in net.named_parameters() if p.requires_grad}
    matrices = [p for k, p in parameters.items() if "blocks" in k and p.ndim == 2 and "adaLN" not in k]
    if cfg.optimizer == "adamw":
        matrices = []
    ids = {id(p) for p in matrices}
    rest = [p for p in parameters.values() if id(p) not in ids]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, lr=cfg.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    ]
    if matrices:
        if cfg.precision == "float32":  # torch's own computes in bfloat16
            optimizers.append(Muon(matrices, lr=cfg.muon_learning_rate))
        else:
            muon = torch.optim.Muon(
                matrices, lr=cfg.muon_learning_rate, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"
            )
            optimizers.append(muon)
    return optimizers


@hydra.main(version_base="1.3", config_path="../configs/train", config_name="sit")
def main(cfg: DictConfig) -> None:
    torch.manual_seed(cfg.seed)
    device, dtype = torch.device(cfg.device), dtype_of(cfg.precision)
    pictures, classes = load_cifar10("train")
    images, labels = torch.from_numpy(pictures).permute(0, 3, 1, 2), torch.from_numpy(classes)
    features = alignment_features(images, Path(cfg.folder) / "features.pt", device, dtype)
    latents = encode(images, Path(cfg.autoencoder), Path(cfg.folder) / "latents.pt", device)
    weights = sensitivity(latents[0, :200], Path(cfg.autoencoder), device) ** cfg.channel_weight
    weights = (weights / weights.mean())[:, None, None]
    sit = DiffusionTransformer(**cfg.net)
    initialise(sit)
    if cfg.start:
        state = load_weights(Path(cfg.start), "pos_embed")[0]
        sit.load_state_dict(some_blocks(state, cfg.start_blocks) if cfg.start_blocks else state)
    teacher = load_sit(Path(cfg.teacher)).to(device) if cfg.teacher else None
    net = Aligned(sit, cfg.net.width, cfg.align_block).to(device)

    def terms(x0: Tensor, eps: Tensor, t: Tensor, label: Tensor, target: Tensor) -> dict[str, Tensor]:
        level = t[:, None, None, None]
        noisy, wanted = (1 - level) * x0 + level * eps, x0 - eps
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            velocity, aligned = net(noisy, 1 - t, label)
            if teacher is not None:
                with torch.no_grad():
                    wanted = teacher(noisy, 1 - t, label).float()
        error = (velocity.float() - wanted) ** 2
        out = {"flow": error.mean(), "weighted": (weights * error).mean()}
        out["align"] = 1 - F.cosine_similarity(aligned.float(), target, dim=-1).mean()
        out["loss"] = out["weighted"] + cfg.align * out["align"]
        return out

    compiled = torch.compile(terms) if cfg.compile else terms

    def loss(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([cfg.seed, step])
        rows = torch.from_numpy(rng.integers(len(labels), size=cfg.batch_size))
        mirrored = torch.from_numpy((rng.random(cfg.batch_size) < 0.5).astype(np.int64))
        x0 = latents[mirrored, rows].to(device).float()
        target = features[rows].to(device).float().unflatten(1, (4, 4))
        target = torch.where(mirrored.to(device)[:, None, None, None] == 1, target.flip(2), target).flatten(1, 2)
        dropped = torch.from_numpy(rng.random(cfg.batch_size) < cfg.label_dropout)
        label = torch.where(dropped, cfg.net.classes, labels[rows]).to(device)
        eps = torch.from_numpy(rng.standard_normal(x0.shape, dtype=np.float32)).to(device)
        t = torch.from_numpy(rng.standard_normal(cfg.batch_size, dtype=np.float32))
        t = torch.sigmoid(cfg.time_std * t + cfg.time_mean).to(device)
        return compiled(x0, eps, t, label, target)

    average, spent = train(Path(cfg.folder), net, make_optimizers(net, cfg), loss, cfg.minutes, cfg.decay)
    card = spent | {"images_seen": spent["steps"] * cfg.batch_size, "autoencoder_sha256": sha256(cfg.autoencoder)}
    print(card)
    save_weights(Path(cfg.out), average.net.sit.state_dict(), {"config": OmegaConf.to_container(cfg), "measured": card})


if __name__ == "__main__":
    main()
