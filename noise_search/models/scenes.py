"""The embedded text-to-image default: a latent flow transformer trained on drawn scenes, its encoder of captions and
its autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noise_search.assets import asset
from noise_search.core.checks import require_precision
from noise_search.core.model import Model, ModelSettings
from noise_search.scenes.language import LONGEST, VOCABULARY, padded_numbers
from noise_search.storage.atomic import sha256
from noise_search.storage.card import read_card

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from noise_search.core.denoiser import Condition

ROWS = {"cpu": 128}  # at which the denoiser is fastest; on another device it is measured
DECODED = {"cpu": 256, "cuda": 4096}  # pictures that the decoder makes at a time


@dataclass(frozen=True, kw_only=True)
class Scenes(ModelSettings):
    """weights, autoencoder: files, by default those in the package; precision: "float32", "bfloat16" (autocast) or
    "auto". Texts are captions of scenes; a word that the encoder does not know is refused."""

    weights: str | None = None
    autoencoder: str | None = None
    precision: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_precision("precision", self.precision)

    @property
    def file(self) -> Path:
        return Path(self.weights) if self.weights else asset("scenes_flow.safetensors")

    @cached_property
    def net(self) -> dict[str, Any]:
        """The sizes of the transformer, as its file says them."""
        sizes: dict[str, Any] = read_card(self.file)["config"]["net"]
        return sizes

    @property
    def classes(self) -> None:
        return None

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.net["channels"], self.net["side"], self.net["side"])

    def load(self, device: str = "cpu") -> Model:
        import torch

        from noise_search.core.interpolant import LinearInterpolant
        from noise_search.networks.precision import dtype_of
        from noise_search.networks.scenes import load_scene_autoencoder, load_scene_transformer

        paths = self.file, Path(self.autoencoder) if self.autoencoder else asset("scenes_autoencoder.safetensors")
        net = load_scene_transformer(paths[0], len(VOCABULARY), LONGEST).to(device)
        coder = load_scene_autoencoder(paths[1]).to(device)
        dtype, kind = dtype_of(self.precision), torch.device(device).type

        def autocast() -> torch.autocast:
            return torch.autocast(kind, dtype, enabled=dtype != torch.float32)

        def network(x: Tensor, t: Tensor, text: Tensor, bias: Tensor) -> Any:
            with autocast():
                return net(x, t, text, bias)

        def encode(texts: Sequence[str]) -> Condition:
            with torch.no_grad():
                return net.text(torch.from_numpy(padded_numbers(texts)).long().to(device))

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
            encode=encode,
            batch_size=ROWS.get(kind),
            weights={path.name: sha256(path) for path in paths},
        )
