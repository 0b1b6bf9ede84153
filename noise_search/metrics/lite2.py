"""The embedded judge: EfficientNet-Lite2 on CIFAR-10; Lite0 and Lite1 belong to the verifiers."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from noise_search.assets import FOLDER, asset
from noise_search.datasets.cifar10 import heldout_images, shipped_images
from noise_search.measures.frechet import Gaussian
from noise_search.measures.judge import Features, Judge, JudgeSettings, Space
from noise_search.measures.usual import usual_metrics
from noise_search.storage.atomic import sha256

REFERENCE = "judge_lite2_reference.safetensors"


@dataclass(frozen=True)
class Lite2(JudgeSettings):
    """EfficientNet-Lite2 on CIFAR-10, its linear probe and its statistics of the 50,000 training images."""

    class_set = "cifar10"
    needing_classes = ("class_accuracy",)

    def load(self, device: str = "cpu") -> Judge:
        import torch

        from noise_search.networks.efficientnet import FEATURES, EfficientNetLite, lite_features, weights_path
        from noise_search.storage.weights import load_weights

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

        gaussian, classes = Gaussian(state["mean"].double().numpy(), covariance), np.arange(10)
        main = Space(slice(None), gaussian, "CIFAR-10 train (50000 images)", "Lite2")
        identity = identity_of(card["config"]["resolution"])
        real = cache(lambda: reference_features(features, identity, device))
        return Judge(
            network="Lite2",
            probe="Lite2 probe",
            features=features,
            probabilities=probabilities,
            main=main,
            metrics=usual_metrics(probabilities, "Lite2 probe", classes, main, real, "CIFAR-10 test (1000 images)"),
            heldout=heldout_images,
            heldout_name="CIFAR-10 test (other images)",
            columns_of=classes,
            weights={file.name: sha256(file) for file in (path, weights_path(2))},
            identity=identity,
        )


def identity_of(resolution: int) -> str:
    """A digest of what features are made with."""
    from noise_search.networks.efficientnet import weights_path
    from noise_search.storage.cache import digest

    return digest("Lite2, bilinear", str(resolution), sha256(weights_path(2)))


def reference_key(identity: str) -> str:
    """A digest of network and images."""
    from noise_search.storage.cache import digest

    return digest(identity, sha256(asset("cifar10_reference.webp")))


def reference_features(features: Features, identity: str, device: str) -> np.ndarray:
    """float32 [1000, 1280] of the reference photographs: as they come with the package, if of these very weights and
    images, else made once and kept. They come as float16, which changes a kernel distance by 2e-7."""
    import torch

    from noise_search.storage.cache import cached, digest, libraries
    from noise_search.storage.weights import load_weights

    if (FOLDER / REFERENCE).is_file():
        state, card = load_weights(FOLDER / REFERENCE, "features")
        if card["made_from"] == reference_key(identity):
            return state["features"].numpy()
    key = digest(reference_key(identity), libraries(), torch.device(device).type)
    return cached("reference", key, lambda: torch.from_numpy(features(shipped_images("reference")[0]))).numpy()


def write_reference(folder: Path) -> None:
    """Make the shipped features."""
    import torch

    from noise_search.networks.efficientnet import EfficientNetLite, lite_features
    from noise_search.storage.weights import load_weights, save_weights

    resolution = load_weights(asset("judge_lite2.safetensors"), "covariance")[1]["config"]["resolution"]
    found = lite_features(EfficientNetLite(2, resolution), shipped_images("reference")[0], "cpu")
    card = {"made_from": reference_key(identity_of(resolution))}
    save_weights(folder / REFERENCE, {"features": torch.from_numpy(found)}, card)
