"""torch-fidelity's Inception and DINOv2 as judges' networks: bytes of images in, features out."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from noise_search.core.images import images_to_tensor
from noise_search.networks.files import fetched, loaded
from noise_search.networks.vision import DinoV2
from noise_search.storage.cache import state_digest

URL = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth"
CHANNELS = 7  # of the 17 x 17 map that sFID looks at
MAIN, SPATIAL = slice(0, 2048), slice(2048, 2048 + CHANNELS * 17 * 17)  # columns of the features


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
        self.seen = output[:, :CHANNELS].permute(0, 2, 3, 1).flatten(1)  # in TensorFlow's order

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        parts = []
        for start in range(0, len(images), self.batch):
            x = torch.from_numpy(images[start : start + self.batch]).permute(0, 3, 1, 2).to(self.device)
            (pooled,) = self.net(x)
            parts.append(torch.cat([pooled, self.seen.float()], 1).cpu().numpy())
        return np.concatenate(parts) if parts else np.empty((0, SPATIAL.stop), np.float32)


class ClassToken:
    """uint8 images [N, H, W, 3] -> float32 [N, width]: DINOv2's class token after the last norm, at 224 pixels.

    The whole image is squashed to them, bicubic, as in the code of Stein et al. (arXiv 2306.04675): nothing is cropped.
    """

    def __init__(self, backbone: str, file: str | None, device: str, batch: int = 50) -> None:
        net = DinoV2(backbone, file, 224, 1, "float32", key="metrics.dinov2", crop=False)
        self.net, self.device, self.batch = net.to(device), device, batch
        self.digest = state_digest(self.net.net)

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        parts = [images_to_tensor(images[i : i + self.batch], self.device) for i in range(0, len(images), self.batch)]
        tokens = [self.net(part)[:, : self.net.width].cpu().numpy() for part in parts]
        return np.concatenate(tokens) if tokens else np.empty((0, self.net.width), np.float32)


def fetch() -> Path:
    """torch-fidelity's weights in torch hub's folder."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(URL).name
    if not file.is_file():
        what = "weights of torch-fidelity's Inception"
        file.parent.mkdir(parents=True, exist_ok=True)
        command = f"wget -P weights {URL}"
        fetched(lambda: torch.hub.download_url_to_file(URL, str(file)), "metrics.weights", what, command)
    return file
