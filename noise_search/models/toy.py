"""The toy: an exact Gaussian mixture as a model, without weights."""

from noise_search.core.interpolant import CosineInterpolant, Interpolant, LinearInterpolant
from noise_search.core.model import Model
from noise_search.networks.mixture import Mixture, MixtureNetwork, coloured_waves

INTERPOLANTS: dict[str, type[Interpolant]] = {"linear": LinearInterpolant, "cosine": CosineInterpolant}


def toy(name: str, interpolant: str = "linear", device: str = "cpu") -> Model:
    """The mixture as a model: it is its own decoder, needs no weights and is exact at every time."""
    if interpolant not in INTERPOLANTS:
        raise ValueError(f"model.build.interpolant={interpolant!r}: one of {', '.join(INTERPOLANTS)}")
    mixture = coloured_waves()
    mixture = Mixture(mixture.means.to(device), mixture.std)
    network = MixtureNetwork(mixture, INTERPOLANTS[interpolant]())
    shape = tuple(mixture.means.shape[2:])
    return Model(name, network, network.interpolant, shape, mixture.classes, decoder=lambda x: x, batch_size=256)
