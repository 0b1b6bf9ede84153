"""Ways in which a drawn picture is spoilt: what a critic learns to tell from a clean one.

Pictures x [N, 3, 32, 32] in [-1, 1]; strength [N, 1, 1, 1], 0 to 1: how badly; 0 leaves them as they are.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Damage = Callable[[Tensor, Tensor], Tensor]


def blurred(x: Tensor, strength: Tensor) -> Tensor:
    """Towards a Gaussian blur of 1.3 pixels."""
    taps = torch.exp(-torch.arange(-4.0, 5.0).square() / (2 * 1.3**2)).to(x)
    taps = (taps / taps.sum()).expand(3, 1, 1, 9)
    soft = F.conv2d(F.pad(x, [4] * 4, mode="replicate"), taps, groups=3)
    return torch.lerp(x, F.conv2d(soft, taps.transpose(2, 3), groups=3), strength)


def smooth_noise(like: Tensor, channels: int, coarse: int) -> Tensor:
    """[N, channels, H, W] of variance about 1: normal numbers on a grid `coarse` times as coarse, enlarged."""
    n, _, h, w = like.shape
    grid = torch.randn(n, channels, h // coarse, w // coarse, device=like.device)
    return 1.5 * F.interpolate(grid, (h, w), mode="bicubic", align_corners=False)


def noisy(x: Tensor, strength: Tensor) -> Tensor:
    """Of a pixel and of four pixels a side."""
    return x + strength * (0.15 * torch.randn_like(x) + 0.12 * smooth_noise(x, 3, 4))


def warped(x: Tensor, strength: Tensor) -> Tensor:
    """Outlines bent by up to about two pixels."""
    n, _, h, w = x.shape
    straight = F.affine_grid(torch.eye(2, 3, device=x.device).expand(n, 2, 3), [n, 3, h, w], align_corners=False)
    bent = 1.3 * strength * smooth_noise(x, 2, 4) * (2 / w)
    grid = straight + bent.permute(0, 2, 3, 1)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)


def crossed(x: Tensor, strength: Tensor) -> Tensor:
    """Patches of another picture of the batch, faded in."""
    where = (smooth_noise(x, 1, 8) > 0.3).to(x)
    return torch.lerp(x, x.roll(1, 0), strength * F.avg_pool2d(where, 3, 1, 1))


def coded(encode: Callable[[Tensor], Tensor], decode: Callable[[Tensor], Tensor], noise: float) -> Damage:
    """Through an autoencoder, with up to `noise` added to its code, whose own deviation is 1."""

    @torch.no_grad()
    def through(x: Tensor, strength: Tensor) -> Tensor:
        code = encode(x)
        return decode(code + noise * strength * torch.randn_like(code)).clamp(-1, 1)

    through.__name__ = "coded"
    return through


DAMAGES: tuple[Damage, ...] = (blurred, noisy, warped, crossed)
