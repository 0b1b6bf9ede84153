"""Measure the embedded model for its card: class accuracy, distances with both floors, memorisation.

    python scripts/evaluate_model.py [images=5000] [scales=[1.0,2.5]]       (about 9 minutes on two cores)

Needs data/cifar10.npz and the features that scripts/reference_statistics.py keeps in training/head. Prints one JSON
line a scale and writes `out`; the first images of every scale go to `sheet`.
"""

import json
import time
from pathlib import Path

import hydra
import numpy as np
import torch
from omegaconf import DictConfig

from noise_search.core.denoiser import metered_denoiser
from noise_search.core.flow import Flow
from noise_search.core.grid import uniform_grid
from noise_search.core.guidance import Guidance
from noise_search.core.images import images_to_tensor, tensor_to_images
from noise_search.core.model import Model
from noise_search.core.noise import normal
from noise_search.datasets.cifar10 import cifar10, heldout_images, load_cifar10
from noise_search.measures.judge import Judge
from noise_search.metrics.lite2 import Lite2
from noise_search.models.embedded import EmbeddedSiT
from noise_search.report.images import sheet
from noise_search.run.evaluate import judged
from noise_search.run.tuning import batch_size


@torch.inference_mode()
def sample(model: Model, labels: np.ndarray, scale: float, nfe: int, seed: int, device: str) -> np.ndarray:
    """uint8 [B, 32, 32, 3]: candidate 0 of images 0, 1, ..., as a run would render it."""
    out = []
    for ids in np.array_split(np.arange(len(labels)), -(-len(labels) // 1000)):
        who = torch.arange(len(ids))
        condition, null = (torch.from_numpy(labels[ids]).to(device),), model.null(torch.device(device))
        denoiser = metered_denoiser(model.network, condition, null, Guidance(scale), batch_size(model, device))
        flow = Flow(denoiser, model.interpolant, model.decoder)
        noise = normal(seed, ids.tolist(), [0] * len(ids), model.shape).to(device)
        out.append(tensor_to_images(flow.decode(flow.solve(noise, uniform_grid(nfe, "heun"), who).x)))
    return np.concatenate(out)


def measure(judge: Judge, images: np.ndarray, labels: np.ndarray) -> tuple[dict[str, float | None], np.ndarray]:
    """All numbers of a set of images on the judge, and its features."""
    features = judge.features(images)
    return {name: value.value for name, value in judged(features, labels, judge).items()}, features


def nearest(a: np.ndarray, b: np.ndarray) -> float:
    """The median over a [N, D] of the Euclidean distance to its nearest neighbour in b [M, D]."""
    with torch.inference_mode():
        parts = [torch.cdist(x, torch.from_numpy(b)).min(1).values for x in torch.from_numpy(a).split(250)]
    return float(torch.cat(parts).median())


@hydra.main(version_base="1.3", config_path="../configs/train", config_name="evaluate")
def main(cfg: DictConfig) -> None:
    settings = EmbeddedSiT(name="sit_cifar10", weights=cfg.weights, autoencoder=cfg.autoencoder)
    model, judge = settings.load(cfg.device), Lite2().load(cfg.device)
    labels = cifar10().index(range(cfg.images))
    heldout = heldout_images(cfg.images)
    assert model.reconstruct is not None and heldout is not None
    real, real_labels = heldout
    with torch.inference_mode():
        parts = [real[i : i + 1000] for i in range(0, len(real), 1000)]
        coded = [tensor_to_images(model.reconstruct(images_to_tensor(part, cfg.device))) for part in parts]
    report: dict = {"images": cfg.images, "nfe": cfg.nfe, "seed": cfg.seed, "weights": model.weights}
    errors = ((np.concatenate(coded).astype(np.float64) - real) ** 2).mean()
    report["autoencoder_psnr_db"] = float(10 * np.log10(255**2 / errors))
    report["real"], real_features = measure(judge, real, real_labels)
    report["reconstructed"], _ = measure(judge, np.concatenate(coded), real_labels)
    if cfg.neighbours:
        train_features = np.load(cfg.train_features)
        train_pixels = load_cifar10("train")[0].reshape(50_000, -1).astype(np.float32)
    for scale in cfg.scales:
        started = time.monotonic()
        images = sample(model, labels, scale, cfg.nfe, cfg.seed, cfg.device)
        seconds = time.monotonic() - started
        numbers, features = measure(judge, images, labels)
        numbers["seconds"] = seconds
        if cfg.neighbours:
            n = cfg.neighbours
            pixels = images[:n].reshape(n, -1).astype(np.float32)
            numbers["nearest_train_features"] = nearest(features[:n], train_features)
            numbers["nearest_train_pixels"] = nearest(pixels, train_pixels)
        report[f"guidance {scale:g}"] = numbers
        print(json.dumps({"scale": scale, **{k: v and round(v, 4) for k, v in numbers.items()}}), flush=True)
        Path(cfg.sheet).mkdir(parents=True, exist_ok=True)
        sheet(images[:100]).save(Path(cfg.sheet) / f"samples_cfg{scale:g}.png")
    if cfg.neighbours:
        held_out = real[: cfg.neighbours].reshape(cfg.neighbours, -1).astype(np.float32)
        report["real"]["nearest_train_features"] = nearest(real_features[: cfg.neighbours], train_features)
        report["real"]["nearest_train_pixels"] = nearest(held_out, train_pixels)
    Path(cfg.out).write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
