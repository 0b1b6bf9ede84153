"""Train the text-to-image flow of drawn scenes (configs/train/scenes_flow.yaml), then write its averaged weights.

Flow matching on the autoencoder's latents, logit-normal times, captions dropped at 10 %; Muon for the matrices of the
blocks, AdamW for the rest. Resumable: the same command goes on from `folder`. Needs the autoencoder.
"""

from pathlib import Path

import hydra
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from noise_search.networks.precision import dtype_of
from noise_search.networks.scene_transformer import SceneTransformer
from noise_search.networks.scenes import load_scene_autoencoder
from noise_search.scenes.language import LONGEST, VOCABULARY
from noise_search.storage.atomic import sha256
from noise_search.storage.weights import save_weights
from noise_search.training.loop import atomic_save, train
from noise_search.training.muon import Muon
from noise_search.training.scenes_set import training_scenes


@torch.no_grad()
def latents_of(images: np.ndarray, autoencoder: Path, path: Path, device: torch.device) -> Tensor:
    """float16 [N, C, 4, 4] of pictures uint8 [N, 32, 32, 3], kept in `path`."""
    if not path.is_file():
        net, parts = load_scene_autoencoder(autoencoder).to(device), []
        for i in range(0, len(images), 500):
            x = torch.from_numpy(images[i : i + 500]).permute(0, 3, 1, 2).to(device).float() / 127.5 - 1
            parts.append(net.encode(x).half().cpu())
        atomic_save(torch.cat(parts), path)
    return torch.load(path, weights_only=True)


def make_optimizers(net: nn.Module, cfg: DictConfig) -> list[torch.optim.Optimizer]:
    parameters = dict(net.named_parameters())
    matrices = [p for k, p in parameters.items() if "blocks" in k and k.endswith("weight") and p.ndim == 2]
    ids = {id(p) for p in matrices}
    rest = [p for p in parameters.values() if id(p) not in ids]
    adamw = torch.optim.AdamW(rest, lr=cfg.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
    return [adamw, Muon(matrices, lr=cfg.muon_learning_rate)]


@hydra.main(version_base="1.3", config_path="../configs/train", config_name="scenes_flow")
def main(cfg: DictConfig) -> None:
    torch.manual_seed(cfg.seed)
    device, dtype = torch.device(cfg.device), dtype_of(cfg.precision)
    images, captions = training_scenes(Path(cfg.scenes), cfg.count, cfg.scenes_seed)
    latents = latents_of(images, Path(cfg.autoencoder), Path(cfg.folder) / "latents.pt", device)
    words = torch.from_numpy(captions)
    net = SceneTransformer(**cfg.net, vocabulary=len(VOCABULARY), longest=LONGEST).to(device)

    def terms(x0: Tensor, eps: Tensor, t: Tensor, read: Tensor) -> Tensor:
        level = t.view(-1, 1, 1, 1)
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            velocity = net.velocity((1 - level) * x0 + level * eps, t, *net.text(read))
        return (velocity.float() - (eps - x0)).square().mean()

    compiled = torch.compile(terms) if cfg.compile else terms

    def loss(step: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([cfg.seed, step])
        rows = torch.from_numpy(rng.integers(len(latents), size=cfg.batch_size))
        dropped = torch.from_numpy(rng.random(cfg.batch_size) < cfg.text_dropout)
        read = words[rows].long() * ~dropped[:, None]
        x0 = latents[rows].float()
        eps = torch.from_numpy(rng.standard_normal(x0.shape, dtype=np.float32))
        t = torch.from_numpy(rng.standard_normal(cfg.batch_size, dtype=np.float32))
        t = torch.sigmoid(cfg.time_std * t + cfg.time_mean)
        return {"loss": compiled(*(value.to(device) for value in (x0, eps, t, read)))}

    average, spent = train(Path(cfg.folder), net, make_optimizers(net, cfg), loss, cfg.minutes, cfg.decay)
    card = spent | {"images_seen": spent["steps"] * cfg.batch_size, "autoencoder_sha256": sha256(Path(cfg.autoencoder))}
    print(card)
    save_weights(Path(cfg.out), average.net.state_dict(), {"config": OmegaConf.to_container(cfg), "measured": card})


if __name__ == "__main__":
    main()
