"""The embedded default: a latent SiT trained on CIFAR-10, with its autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar

from noise_search.assets import asset
from noise_search.core.checks import require_precision
from noise_search.core.model import Model, ModelSettings, dit_block
from noise_search.storage.atomic import sha256
from noise_search.storage.card import read_card

ROWS = {"cpu": 64}  # at which the denoiser is fastest; on another device it is measured


@dataclass(frozen=True, kw_only=True)
class Embedded(ModelSettings):
    """A flow transformer and its autoencoder. weights, autoencoder: files, by default those in the package (`shipped`);
    precision: "float32", "bfloat16" (autocast) or "auto"."""

    weights: str | None = None
    autoencoder: str | None = None
    precision: str = "auto"

    shipped: ClassVar[tuple[str, str]]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_precision("precision", self.precision)

    @property
    def file(self) -> Path:
        return Path(self.weights) if self.weights else asset(self.shipped[0])

    @property
    def files(self) -> tuple[Path, Path]:
        return self.file, Path(self.autoencoder) if self.autoencoder else asset(self.shipped[1])

    @cached_property
    def net(self) -> dict[str, Any]:
        """The sizes of the transformer, as its file says them."""
        sizes: dict[str, Any] = read_card(self.file)["config"]["net"]
        return sizes


@dataclass(frozen=True, kw_only=True)
class EmbeddedSiT(Embedded):
    """The class-conditional one, of CIFAR-10."""

    class_set: ClassVar[str] = "cifar10"
    shipped: ClassVar[tuple[str, str]] = ("sit_cifar10.safetensors", "autoencoder.safetensors")

    @property
    def classes(self) -> int:
        return int(self.net["classes"])

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.net["channels"], self.net["size"], self.net["size"])

    @property
    def reusable(self) -> int:  # type: ignore[override]
        tokens = (self.net["size"] // self.net["patch"]) ** 2
        return (self.net["depth"] - 1) * dit_block(self.net["width"], tokens)

    def load(self, device: str = "cpu") -> Model:
        import torch

        from noise_search.core.interpolant import LinearInterpolant
        from noise_search.networks.block_cache import reusing
        from noise_search.networks.embedded import load_autoencoder, load_sit, through
        from noise_search.networks.precision import cast_weights, dtype_of
        from noise_search.networks.sit import SiTNetwork

        dtype, kind = dtype_of(self.precision), torch.device(device).type
        sit = cast_weights(load_sit(self.files[0]), dtype).to(device)
        decode, reconstruct = through(cast_weights(load_autoencoder(self.files[1]), dtype).to(device), dtype, kind)
        network = SiTNetwork(sit, dtype)
        return self.model(
            network=network,
            interpolant=LinearInterpolant(),
            decoder=decode,
            reconstruct=reconstruct,
            batch_size=ROWS.get(kind),
            weights={path.name: sha256(path) for path in self.files},
            reusing=partial(reusing, network),
        )


@dataclass(frozen=True, kw_only=True)
class SmallEmbeddedSiT(EmbeddedSiT):
    """Three of its ten blocks, which were taught to do what all of them do; the same latents."""

    shipped: ClassVar[tuple[str, str]] = ("sit_cifar10_small.safetensors", "autoencoder.safetensors")
