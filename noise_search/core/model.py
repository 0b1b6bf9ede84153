"""What a model brings to a run, whatever stands behind it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from noise_search.core.denoiser import Network
from noise_search.core.interpolant import Interpolant


@dataclass(frozen=True)
class Model:
    """A network in the project's frame, with the interpolant it was trained on and its decoder.

    shape: latent shape (C, H, W). classes: number of labels; the label `classes` means "no class". decoder: latents
    [N, ...] -> images [N, 3, H, W]. reconstruct: images -> images through the autoencoder, None where there is none.
    weights: file name -> sha256. batch_size: rows at which the device is at its best.
    """

    name: str
    network: Network
    interpolant: Interpolant
    shape: tuple[int, ...]
    classes: int
    decoder: Callable[[Tensor], Tensor]
    batch_size: int
    reconstruct: Callable[[Tensor], Tensor] | None = None
    weights: dict[str, str] = field(default_factory=dict)
