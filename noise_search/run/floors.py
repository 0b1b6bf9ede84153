"""What a judge says of real images, and of what the autoencoder makes of them: what a sampler can hope for.

The networks' share of it is kept: the features and the reconstructions. The numbers are made in every run, because a
metric, of a plug-in perhaps, is code that no digest knows.
"""

import json
from typing import Any

import numpy as np
import torch

from noise_search.core.images import images_to_tensor, tensor_to_images
from noise_search.measures.metric import measures_of
from noise_search.run.evaluate import cells, judged
from noise_search.run.parts import Parts
from noise_search.storage.cache import cached, digest, libraries


def floors(parts: Parts, n: int) -> list[dict[str, Any]]:
    """What the judge says of real images, as many as the samples, and of their autoencoder reconstructions.

    Empty where fewer held-out images are at hand: a floor at another n would be another number.
    """
    judge = parts.judge
    out: list[dict[str, Any]] = []
    heldout = judge.heldout(n)
    if heldout is None:
        return out
    real, labels = heldout
    kinds = {"real": real}
    if parts.model.reconstruct:
        kinds["reconstructed"] = reconstructed(parts, real)
    for kind, images in kinds.items():
        measures = measures_of(judge.metrics, images, labels)
        for name, value in judged(features_of(parts, images), labels, judge, measures).items():
            out.append({"kind": kind, "metric": name, "images": judge.heldout_name, **cells(value, n)})
    return out


def features_of(parts: Parts, images: np.ndarray) -> np.ndarray:
    """The judge's features of real images, made once with its weights if it says what they depend on."""
    judge = parts.judge
    if not judge.identity:
        return judge.features(images)
    key = key_of(parts, judge.identity, images)
    return cached("features", key, lambda: torch.from_numpy(judge.features(images))).numpy()


def reconstructed(parts: Parts, real: np.ndarray) -> np.ndarray:
    """Real images through the model's autoencoder, made once with its weights and settings, if it has weights."""
    model = parts.model

    def make() -> torch.Tensor:
        assert model.reconstruct is not None
        return torch.from_numpy(tensor_to_images(model.reconstruct(images_to_tensor(real, parts.device))))

    if not model.weights:
        return make().numpy()
    settings = json.dumps([model.weights, parts.run.config["model"]], sort_keys=True)
    return cached("reconstructed", key_of(parts, settings, real), make).numpy()


def key_of(parts: Parts, made_with: str, images: np.ndarray) -> str:
    """A digest of all that what a network makes of images depends on."""
    return digest(made_with, libraries(), torch.device(parts.device).type, str(images.shape), images.tobytes())
