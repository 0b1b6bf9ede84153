"""The embedded default: a latent SiT trained on CIFAR-10, with its autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from noise_search.assets import asset
from noise_search.core.checks import require_precision
from noise_search.core.model import Model, ModelSettings
from noise_search.storage.atomic import sha256
from noise_search.storage.card import read_card

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ROWS = {"cpu": 64}  # at which the denoiser is fastest; on another device it is measured
DECODED = {"cpu": 256, "cuda": 4096}  # rows that the autoencoder makes at a time


@dataclass(frozen=True, kw_only=True)
class EmbeddedSiT(ModelSettings):
    """weights, autoencoder: files, by default the package's; precision: "float32", "bfloat16" (autocast) or "auto"."""

    weights: str | None = None
    autoencoder: str | None = None
    precision: str = "auto"

    class_set: ClassVar[str] = "cifar10"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_precision("precision", self.precision)

    @property
    def file(self) -> Path:
        return Path(self.weights) if self.weights else asset("sit_cifar10.safetensors")

    @cached_property
    def net(self) -> dict[str, Any]:
        """The sizes of the SiT, as its file says them."""
        sizes: dict[str, Any] = read_card(self.file)["config"]["net"]
        return sizes

    @property
    def classes(self) -> int:
        return int(self.net["classes"])

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.net["channels"], self.net["size"], self.net["size"])

    def load(self, device: str = "cpu") -> Model:
        import torch

        from noise_search.core.interpolant import LinearInterpolant
        from noise_search.networks.embedded import load_autoencoder, load_sit
        from noise_search.networks.precision import cast_weights, dtype_of
        from noise_search.networks.sit import SiTNetwork

        paths = self.file, Path(self.autoencoder) if self.autoencoder else asset("autoencoder.safetensors")
        dtype = dtype_of(self.precision)
        sit = cast_weights(load_sit(paths[0]), dtype).to(device)
        coder = cast_weights(load_autoencoder(paths[1]), dtype).to(device)
        network, kind = SiTNetwork(sit, dtype), torch.device(device).type

        def autocast() -> torch.autocast:
            return torch.autocast(kind, dtype, enabled=dtype != torch.float32)

        def decode(x: Tensor) -> Tensor:
            with autocast():
                return torch.cat([coder.decode(part) for part in x.split(DECODED[kind])]).float()

        def reconstruct(images: Tensor) -> Tensor:
            with autocast():
                return torch.cat([coder.decode(coder.encode(part)) for part in images.split(DECODED[kind])]).float()

        return self.model(
            network=network,
            interpolant=LinearInterpolant(),
            decoder=decode,
            reconstruct=reconstruct,
            batch_size=ROWS.get(kind),
            weights={path.name: sha256(path) for path in paths},
        )
