"""Features of CIFAR-10 under EfficientNet-Lite, kept on disk: what linear probes are fitted on."""

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from noise_search.datasets.cifar10 import load_cifar10
from noise_search.networks.efficientnet import EfficientNetLite, lite_features
from noise_search.storage.atomic import replacing


def features_of(
    split: str, size: int, resolution: int, precision: str, count: int, folder: Path, device: str
) -> tuple[np.ndarray, Tensor]:
    """float32 [count, 1280] and labels of the first `count` images of a split, kept in `folder`."""
    images, labels = load_cifar10(split)
    path = folder / f"lite{size}_{resolution}px_{precision}_{split}_{count}.npy"
    if not path.is_file():
        started = time.monotonic()
        values = lite_features(EfficientNetLite(size, resolution, precision).to(device), images[:count], device)
        print(f"{path.name}: {len(values) / (time.monotonic() - started):.0f} images/s", flush=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.save(file, values)
    return np.load(path), torch.from_numpy(labels[:count])
