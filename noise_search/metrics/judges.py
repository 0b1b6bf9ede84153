"""Judges: a feature network and its real images. What selects must not judge: no verifier uses these networks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from noise_search.assets import asset
from noise_search.datasets.cifar10 import heldout_images, shipped_images
from noise_search.files import sha256
from noise_search.metrics.frechet import Gaussian
from noise_search.models.efficientnet import FEATURES, EfficientNetLite, weights_path
from noise_search.models.toy import coloured_waves
from noise_search.weights import load_weights


class Space(NamedTuple):
    """Features that a Frechet distance is taken in: which columns, the real images' statistics there, whose they are,
    and the network's name."""

    columns: slice
    gaussian: Gaussian
    reference: str
    network: str


@dataclass(frozen=True)
class Judge:
    """network, probe: names as they stand beside every number.

    features: uint8 [N, H, W, 3] -> float32 [N, D]. probabilities: features -> [N, classes], of the probe that the
    inception score uses. columns_of: class id -> its column among those classes; None: not known, so no accuracy and no
    oracle IS. frechet: metric -> its space; the first is the main one, in which all else is measured.
    reference: () -> main features [M, D'] of real images for kernel distance, precision and recall; None: there are
    none. heldout: n -> that many real images that are in neither, uint8 [n, h, w, 3], and their labels, for the floor
    of every distance; None if fewer are at hand. splits, shuffle: of the inception score (`metrics.scores`).
    export_npz: are the images of every budget wanted as ADM's .npz? weights: file name -> sha256.
    """

    network: str
    probe: str
    features: Callable[[np.ndarray], np.ndarray]
    probabilities: Callable[[np.ndarray], np.ndarray]
    frechet: Mapping[str, Space]
    reference: Callable[[], np.ndarray] | None
    reference_name: str
    heldout: Callable[[int], tuple[np.ndarray, np.ndarray] | None]
    heldout_name: str
    columns_of: np.ndarray | None = None
    splits: int = 1
    shuffle: bool = False
    export_npz: bool = False
    weights: dict[str, str] = field(default_factory=dict)

    @property
    def main(self) -> Space:
        return next(iter(self.frechet.values()))


def whole(gaussian: Gaussian, reference: str, network: str) -> dict[str, Space]:
    """The one Frechet distance of a judge all of whose features are one space."""
    return {"frechet_distance": Space(slice(None), gaussian, reference, network)}


def images_to_tensor(images: np.ndarray, device: str | torch.device = "cpu") -> torch.Tensor:
    """uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def tensor_to_images(images: torch.Tensor) -> np.ndarray:
    """[N, 3, H, W] in [-1, 1] -> uint8 [N, H, W, 3], by clamp(127.5 x + 128, 0, 255) as the published code does."""
    return (127.5 * images + 128).clamp(0, 255).permute(0, 2, 3, 1).to("cpu", torch.uint8).numpy()


@torch.inference_mode()
def lite_features(net: EfficientNetLite, images: np.ndarray, device: str, batch: int = 250) -> np.ndarray:
    """float32 [N, 1280] of uint8 images [N, H, W, 3]."""
    parts = [images[i : i + batch] for i in range(0, len(images), batch)]
    out = [net(images_to_tensor(part, device)).cpu().numpy() for part in parts]
    return np.concatenate(out) if out else np.empty((0, FEATURES), dtype=np.float32)


def lite2(device: str = "cpu") -> Judge:
    """EfficientNet-Lite2 on CIFAR-10, its linear probe and its statistics of the 50,000 training images."""
    path = asset("judge_lite2.safetensors")
    state, card = load_weights(path, "covariance")
    net = EfficientNetLite(2, card["config"]["resolution"]).to(device)
    weight, bias = state["weight"].numpy(), state["bias"].numpy()
    covariance = np.zeros((FEATURES, FEATURES))
    covariance[np.triu_indices(FEATURES)] = state["covariance"].numpy()
    covariance += np.triu(covariance, 1).T

    def features(images: np.ndarray) -> np.ndarray:
        return lite_features(net, images, device)

    def probabilities(values: np.ndarray) -> np.ndarray:
        return torch.from_numpy(values @ weight.T + bias).softmax(1).numpy()

    return Judge(
        network="Lite2",
        probe="Lite2 probe",
        features=features,
        probabilities=probabilities,
        frechet=whole(Gaussian(state["mean"].double().numpy(), covariance), "CIFAR-10 train (50000 images)", "Lite2"),
        reference=cache(lambda: features(shipped_images("reference")[0])),
        reference_name="CIFAR-10 test (1000 images)",
        heldout=heldout_images,
        heldout_name="CIFAR-10 test (other images)",
        columns_of=np.arange(10),
        weights={file.name: sha256(file) for file in (path, weights_path(2))},
    )


def pixels(device: str = "cpu") -> Judge:
    """The toy's judge: pixel values as features, the exact class posterior as probe, 1,000 + 1,000 exact samples."""
    mixture = coloured_waves()
    labels = torch.arange(20_000) % mixture.classes
    images = tensor_to_images(mixture.sample(labels, torch.Generator().manual_seed(0)))

    def features(values: np.ndarray) -> np.ndarray:
        return (values.reshape(len(values), -1) / 127.5 - 1).astype(np.float32)

    def probabilities(values: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(values).unflatten(1, (*images.shape[1:],)).permute(0, 3, 1, 2)
        dimensions = mixture.means[0, 0].numel()
        logits = [mixture.log_likelihood(x, torch.full((len(x),), k)) * dimensions for k in range(mixture.classes)]
        return torch.stack(logits, 1).softmax(1).numpy()

    everything = features(images)
    return Judge(
        network="pixels",
        probe="exact posterior",
        features=features,
        probabilities=probabilities,
        frechet=whole(Gaussian.of(everything[2000:]), "18000 exact samples", "pixels"),
        reference=lambda: everything[:1000],
        reference_name="1000 exact samples",
        heldout=lambda n: (images[1000 : 1000 + n], labels[:n].numpy()) if n <= 1000 else None,
        heldout_name="other exact samples",
        columns_of=np.arange(mixture.classes),
    )
