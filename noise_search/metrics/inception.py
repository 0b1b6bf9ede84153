"""The judge of published ImageNet numbers: FID, sFID, IS, KID, precision and recall on torch-fidelity's Inception."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from noise_search.files import sha256
from noise_search.metrics.judges import Judge, Space
from noise_search.metrics.reference import read_reference
from noise_search.models.vision import fetched, loaded

WIDTH, SPATIAL = 2048, 7  # pooled features; channels of the 17 x 17 map that sFID looks at
URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"


class Inception:
    """uint8 images [N, H, W, 3] -> features float32 [N, 2048 + 2023]: FID's pooled ones, then sFID's spatial ones."""

    def __init__(self, weights: Path, device: str, batch: int = 50) -> None:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

        key, what = "metrics.weights", "torch-fidelity's Inception"

        def load() -> Any:
            torch.load(weights, map_location="cpu", weights_only=True)  # torch-fidelity itself would run code in it
            return FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(weights))

        self.net, self.device, self.batch = loaded(load, str(weights), key, what).to(device), device, batch
        self.seen: Tensor
        self.net.Mixed_6d.branch1x1.register_forward_hook(self.look)  # ADM's "mixed_6/conv"

    def look(self, module: object, inputs: object, output: Tensor) -> None:
        self.seen = output[:, :SPATIAL].permute(0, 2, 3, 1).flatten(1)  # in TensorFlow's order

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(images), self.batch):
            x = torch.from_numpy(images[start : start + self.batch]).permute(0, 3, 1, 2).to(self.device)
            (pooled,) = self.net(x)
            parts.append(torch.cat([pooled, self.seen.float()], 1).cpu().numpy())
        return np.concatenate(parts) if parts else np.empty((0, WIDTH + SPATIAL * 17 * 17), np.float32)


def inception(
    reference: str,
    weights: str | None = None,
    label_map: str | None = None,
    splits: int = 10,
    shuffle: bool = True,
    device: str = "cpu",
) -> Judge:
    """reference: real images or their statistics (`metrics.reference`). weights: torch-fidelity's file; None: fetched.

    label_map: imagenet_2012_challenge_label_map_proto.pbtxt of TensorFlow's models, which says which of the network's
    1,008 outputs is which class: wanted by class accuracy and oracle IS only. splits, shuffle: of the inception score:
    torch-fidelity shuffles, ADM's evaluator does not.
    """
    if not Path(reference).exists():
        raise FileNotFoundError(
            f"metrics.reference={reference}: there is no such file or folder of real images;"
            " `python scripts/fetch_weights.py references` fetches ADM's"
        )
    path = Path(weights) if weights else fetch()
    net = Inception(path, device)
    head, sha = net.net.fc.weight.detach().cpu().numpy(), sha256(path)

    def probabilities(features: np.ndarray) -> np.ndarray:
        return torch.from_numpy(features[:, :WIDTH] @ head.T).softmax(1).numpy()  # no bias, as published

    real = read_reference(Path(reference), net, WIDTH, sha)
    frechet = {"fid": Space(slice(0, WIDTH), real.gaussian, real.name)}
    if real.spatial is not None:
        frechet["sfid"] = Space(slice(WIDTH, None), real.spatial, real.name)
    return Judge(
        network="Inception, torch-fidelity",
        probe="Inception, torch-fidelity",
        features=net,
        probabilities=probabilities,
        frechet=frechet,
        reference=real.features,
        reference_name=real.name,
        heldout=lambda n: None,
        heldout_name="",
        columns_of=read_label_map(Path(label_map)) if label_map else None,
        splits=splits,
        shuffle=shuffle,
        weights={path.name: sha},
    )


def fetch() -> Path:
    """torch-fidelity's weights in torch hub's folder."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(URL).name
    if not file.is_file():
        what = "weights of torch-fidelity's Inception"
        file.parent.mkdir(parents=True, exist_ok=True)
        command = f"wget -P weights {URL}"
        fetched(lambda: torch.hub.download_url_to_file(URL, str(file)), "metrics.weights", what, command)
    return file


def read_label_map(path: Path) -> np.ndarray:
    """int64 [1000]: class id (the rank of its WordNet id) -> the network's output."""
    if not path.is_file():
        raise FileNotFoundError(f"metrics.label_map={path}: there is no such file")
    entries = re.findall(r'target_class:\s*(\d+)\s*target_class_string:\s*"(n\d+)"', path.read_text())
    if len(entries) != 1000:
        raise ValueError(f"metrics.label_map={path}: {len(entries)} classes, not 1000")
    return np.array([int(column) for column, _ in sorted(entries, key=lambda entry: entry[1])])
