"""What a model brings to a run, whatever stands behind it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from noise_search.core.denoiser import Condition, Network
from noise_search.core.interpolant import Interpolant


@dataclass(frozen=True)
class Model:
    """A network in the project's frame, with the interpolant it was trained on and its decoder.

    shape: latent shape (C, H, W). decoder: latents [N, ...] -> images [N, 3, H, W]. batch_size: rows at which the
    device is at its best. classes: number of class labels that the network was trained on; the label `classes` means
    "no class"; None: it reads texts. encode: B texts -> their condition, one row a text; the null condition is that of
    `null_text`. reconstruct: images -> images through the autoencoder, None where there is none. weights: file name ->
    sha256.
    """

    name: str
    network: Network
    interpolant: Interpolant
    shape: tuple[int, ...]
    classes: int | None
    decoder: Callable[[Tensor], Tensor]
    batch_size: int
    encode: Callable[[Sequence[str]], Condition] | None = None
    null_text: str = ""
    reconstruct: Callable[[Tensor], Tensor] | None = None
    weights: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.classes is None) == (self.encode is None):
            raise ValueError(f"model {self.name}: give `classes` or `encode`, one of the two")

    def condition(self, index: Tensor, texts: Sequence[str]) -> Condition:
        """index int64 [B], texts of the same B images -> tensors [B, ...]; made for a unit of images at a time."""
        return (index,) if self.encode is None else self.encode(texts)

    def null(self, device: torch.device) -> Condition:
        """The condition that asks for nothing: tensors [1, ...]."""
        if self.encode is not None:
            return self.encode([self.null_text])
        assert self.classes is not None
        return (torch.tensor([self.classes], device=device),)
