"""Train a linear CIFAR-10 head on frozen EfficientNet-Lite features (configs/train/head.yaml) and measure it.

Multinomial logistic regression, L-BFGS, on the training set; accuracy on the 10,000 test images. The judge's
probe (Lite2) comes from scripts/reference_statistics.py.
"""

from pathlib import Path

import hydra
import torch
from omegaconf import DictConfig, OmegaConf

from noise_search.networks.linear_probe import accuracy, fit
from noise_search.storage.weights import save_weights
from noise_search.training.probe_features import features_of


@hydra.main(version_base="1.3", config_path="../configs/train", config_name="head")
def main(cfg: DictConfig) -> None:
    folder = Path(cfg.folder)
    train = features_of("train", cfg.size, cfg.resolution, cfg.precision, cfg.images, folder, cfg.device)
    test = features_of("test", cfg.size, cfg.resolution, cfg.precision, 10_000, folder, cfg.device)
    weight, bias = fit(*train, cfg.decay)
    card = {"accuracy_train": accuracy(*train, weight, bias), "accuracy_test": accuracy(*test, weight, bias)}
    print(f"Lite{cfg.size} at {cfg.resolution} px, {cfg.images} training images: {card}")
    config = OmegaConf.to_container(cfg, resolve=True)
    save_weights(Path(cfg.out), {"weight": weight, "bias": bias}, {"config": config, "measured": card}, torch.float32)


if __name__ == "__main__":
    main()
