"""Make the shipped assets that describe real images: the judge (Lite2 probe and statistics), the 2 x 1,000
images, and the judge's features of those that are the reference.

python scripts/reference_statistics.py [resolution=96]     (about 5 minutes on two cores; needs data/cifar10.npz)
"""

from pathlib import Path

import hydra
import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from noise_search import assets
from noise_search.datasets.cifar10 import HALVES, write_sprite
from noise_search.measures.statistics import Statistics
from noise_search.metrics.lite2 import write_reference
from noise_search.networks.linear_probe import accuracy, fit
from noise_search.storage.weights import save_weights
from noise_search.training.probe_features import features_of


@hydra.main(version_base="1.3", config_path="../configs/train", config_name="reference")
def main(cfg: DictConfig) -> None:
    for half in HALVES:
        write_sprite(half, assets.FOLDER)
    folder = Path(cfg.folder)
    train = features_of("train", cfg.size, cfg.resolution, cfg.precision, 50_000, folder, cfg.device)
    test = features_of("test", cfg.size, cfg.resolution, cfg.precision, 10_000, folder, cfg.device)
    statistics = Statistics.of(train[0], train[0][:1000].mean(0, dtype=np.float64))
    weight, bias = fit(*train, cfg.decay)
    card = {"accuracy_train": accuracy(*train, weight, bias), "accuracy_test": accuracy(*test, weight, bias)}
    print(f"Lite{cfg.size} at {cfg.resolution} px: {card}, {statistics.n} images")
    upper = statistics.covariance[np.triu_indices(len(statistics.mean))]
    state = {"weight": weight, "bias": bias}
    state |= {"mean": torch.from_numpy(statistics.mean), "covariance": torch.from_numpy(upper)}
    config = OmegaConf.to_container(cfg, resolve=True)
    save_weights(Path(cfg.out), state, {"config": config, "measured": card}, torch.float32)
    write_reference(assets.FOLDER)


if __name__ == "__main__":
    main()
