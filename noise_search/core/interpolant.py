"""Interpolants between noise and data: x_t = a(t) x0 + s(t) eps, with t falling from 1 (noise) to 0 (data).

Shapes, here and in every tensor module: B images, K candidates an image, N = B * K rows, `...` the latent shape.
"""

import math
from typing import Protocol

import torch
from torch import Tensor


class Interpolant(Protocol):
    """signal a and noise s: each maps t [N] in [0, 1] to [N]."""

    def signal(self, t: Tensor) -> Tensor: ...
    def noise(self, t: Tensor) -> Tensor: ...


class LinearInterpolant:
    """a = 1 - t, s = t: the path of SiT and FLUX; t is the paper's sigma."""

    def signal(self, t: Tensor) -> Tensor:
        return 1 - t

    def noise(self, t: Tensor) -> Tensor:
        return t


class CosineInterpolant:
    """a = cos(pi t / 2), s = sin(pi t / 2): variance-preserving, a^2 + s^2 = 1."""

    def signal(self, t: Tensor) -> Tensor:
        return torch.cos(math.pi / 2 * t)

    def noise(self, t: Tensor) -> Tensor:
        return torch.sin(math.pi / 2 * t)


class DDPMInterpolant:
    """DiT's: t = (i + 1) / steps is index i of the DDPM table whose betas rise linearly; variance-preserving.

    Between indices log(a^2 / s^2) is interpolated; t = 0 is the clean image, to which s falls linearly from index 0.
    """

    def __init__(self, steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> None:
        kept = torch.linspace(first, last, steps, dtype=torch.float64).neg().add(1).cumprod(0)  # a^2
        self.log_snr = torch.log(kept / (1 - kept))

    def index(self, t: Tensor) -> Tensor:
        """float64 from -1 (t = 0) to steps - 1 (t = 1); a float32 time of a whole index gives that index exactly."""
        i = t.double() * len(self.log_snr) - 1
        return torch.where((i - i.round()).abs() < 2e-4, i.round(), i)

    def level(self, t: Tensor) -> Tensor:
        """log(a^2 / s^2), float64; below index 0 that of index 0."""
        i, table = self.index(t).clamp_min(0), self.log_snr.to(t.device)
        low = i.floor().long().clamp_max(len(table) - 2)
        return torch.lerp(table[low], table[low + 1], i - low)

    def noise(self, t: Tensor) -> Tensor:
        return torch.sigmoid(-self.level(t)).sqrt() * (self.index(t) + 1).clamp_max(1)

    def signal(self, t: Tensor) -> Tensor:
        return torch.where(self.index(t) < 0, (1 - self.noise(t) ** 2).sqrt(), torch.sigmoid(self.level(t)).sqrt())


def expand(values: Tensor, like: Tensor) -> Tensor:
    """[N] -> [N, 1, ...], to be multiplied with `like` [N, ...]."""
    return values.view(-1, *[1] * (like.ndim - 1))
