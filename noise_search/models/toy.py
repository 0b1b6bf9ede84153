"""The toy: an exact Gaussian mixture as a model, without weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from noise_search.core.checks import require_one_of
from noise_search.core.model import Model, ModelSettings

INTERPOLANTS = ("linear", "cosine")


@dataclass(frozen=True, kw_only=True)
class Toy(ModelSettings):
    """The mixture as a model: it is its own decoder, needs no weights and is exact at every time."""

    interpolant: str = "linear"

    classes: ClassVar[int] = 10
    class_set: ClassVar[str] = "mixture"
    shape: ClassVar[tuple[int, ...]] = (3, 8, 8)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_one_of("interpolant", self.interpolant, INTERPOLANTS)

    def load(self, device: str = "cpu") -> Model:
        from noise_search.core.interpolant import CosineInterpolant, LinearInterpolant
        from noise_search.networks.mixture import Mixture, MixtureNetwork, coloured_waves

        mixture = coloured_waves()
        mixture = Mixture(mixture.means.to(device), mixture.std)
        interpolant = LinearInterpolant() if self.interpolant == "linear" else CosineInterpolant()
        network = MixtureNetwork(mixture, interpolant)
        return self.model(network=network, interpolant=interpolant, decoder=lambda x: x, batch_size=256)
