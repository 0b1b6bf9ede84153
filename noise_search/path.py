"""Paths from noise to data: x_t = a(t) x0 + s(t) eps, with t falling from 1 (noise) to 0 (data).

Shapes, here and in every tensor module: B images, K candidates an image, N = B * K rows, `...` the latent shape.
"""

import math
from typing import Protocol

import torch
from torch import Tensor


class Path(Protocol):
    """signal a and noise s: each maps t [N] in [0, 1] to [N]."""

    def signal(self, t: Tensor) -> Tensor: ...
    def noise(self, t: Tensor) -> Tensor: ...


class LinearPath:
    """a = 1 - t, s = t: the path of SiT and FLUX; t is the paper's sigma."""

    def signal(self, t: Tensor) -> Tensor:
        return 1 - t

    def noise(self, t: Tensor) -> Tensor:
        return t


class CosinePath:
    """a = cos(pi t / 2), s = sin(pi t / 2): variance-preserving, a^2 + s^2 = 1."""

    def signal(self, t: Tensor) -> Tensor:
        return torch.cos(math.pi / 2 * t)

    def noise(self, t: Tensor) -> Tensor:
        return torch.sin(math.pi / 2 * t)


def expand(values: Tensor, like: Tensor) -> Tensor:
    """[N] -> [N, 1, ...], to be multiplied with `like` [N, ...]."""
    return values.view(-1, *[1] * (like.ndim - 1))
