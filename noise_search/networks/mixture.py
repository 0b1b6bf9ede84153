"""An exact Gaussian mixture over small colour images: every claim about a search can be checked without weights."""

from dataclasses import dataclass

import torch
from torch import Tensor

from noise_search.core.denoiser import Prediction
from noise_search.core.interpolant import Interpolant, expand


@dataclass(frozen=True)
class Mixture:
    """means: [classes, components, C, H, W]; std: of every component; all components are equally likely."""

    means: Tensor
    std: float

    @property
    def classes(self) -> int:
        return len(self.means)

    def of_class(self, label: Tensor) -> tuple[Tensor, Tensor]:
        """label [N] (`classes`: any) -> all component means [M, D] and log-weights [N, M], -inf outside the class."""
        classes, components = self.means.shape[:2]
        owner = torch.arange(classes, device=label.device).repeat_interleave(components)
        inside = (owner == label[:, None]) | (label[:, None] == classes)
        return self.means.flatten(0, 1).flatten(1), torch.where(inside, 0.0, -torch.inf)

    def log_likelihood(self, x: Tensor, label: Tensor) -> Tensor:
        """log p(x | class) per dimension, [N], up to a constant; x [N, C, H, W], label [N]."""
        means, weights = self.of_class(label)
        energy = (torch.cdist(x.flatten(1).double(), means.double()) ** 2) / (2 * self.std**2)
        return (torch.logsumexp(weights - energy, 1) / means.shape[1]).float()

    def sample(self, label: Tensor, generator: torch.Generator) -> Tensor:
        """[N, C, H, W] draws from the classes label [N]; the generator decides."""
        component = torch.randint(self.means.shape[1], label.shape, generator=generator)
        means = self.means[label, component]
        return means + self.std * torch.randn(means.shape, generator=generator)


def coloured_waves(classes: int = 10, components: int = 2, size: int = 8, std: float = 0.3) -> Mixture:
    """Class k: two plane waves of direction and colour k, half as large as the range of an image."""
    row, column = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    phase = torch.arange(3).view(3, 1, 1) * 2.0
    means = torch.empty(classes, components, 3, size, size)
    for k in range(classes):
        for j in range(components):
            wave = (k % 4) * row + (k // 4 + 1) * column
            means[k, j] = 0.5 * torch.cos(2 * torch.pi * wave / size + k * phase / 3 + j * torch.pi / 2)
    return Mixture(means, std)


class MixtureNetwork:
    """(x [N, ...], t [N], label [N]) -> the exact posterior means of x0 and eps; one row of cost a row."""

    def __init__(self, mixture: Mixture, interpolant: Interpolant) -> None:
        self.mixture, self.interpolant = mixture, interpolant

    def __call__(self, x: Tensor, t: Tensor, label: Tensor) -> Prediction:
        a, s = self.interpolant.signal(t).to(x.dtype), self.interpolant.noise(t).to(x.dtype)
        variance = a**2 * self.mixture.std**2 + s**2  # [N]
        means, weights = (values.to(x) for values in self.mixture.of_class(label))
        flat = x.flatten(1)
        offsets = flat[:, None] - a[:, None, None] * means  # [N, M, D]
        weights = torch.softmax(weights - offsets.square().sum(-1) / (2 * variance[:, None]), 1)
        mean = (weights @ means).view_as(x)
        away = x - expand(a, x) * mean
        x0 = mean + expand(a * self.mixture.std**2 / variance, x) * away
        return Prediction(x0, expand(s / variance, x) * away)
