"""The embedded text-to-image default: a latent flow transformer trained on drawn scenes, its encoder of captions and
its autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from noise_search.core.model import Model
from noise_search.models.embedded import Embedded
from noise_search.scenes.language import LONGEST, VOCABULARY, padded_numbers
from noise_search.storage.atomic import sha256

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.denoiser import Condition

ROWS = {"cpu": 128}  # at which the denoiser is fastest; on another device it is measured


@dataclass(frozen=True, kw_only=True)
class Scenes(Embedded):
    """Texts are captions of scenes; a word that the encoder does not know is refused."""

    shipped: ClassVar[tuple[str, str]] = ("scenes_flow.safetensors", "scenes_autoencoder.safetensors")

    @property
    def classes(self) -> None:
        return None

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.net["channels"], self.net["side"], self.net["side"])

    def load(self, device: str = "cpu") -> Model:
        import torch

        from noise_search.core.interpolant import LinearInterpolant
        from noise_search.networks.embedded import through
        from noise_search.networks.precision import dtype_of
        from noise_search.networks.scenes import load_scene_autoencoder, load_scene_transformer

        dtype, kind = dtype_of(self.precision), torch.device(device).type
        net = load_scene_transformer(self.files[0], len(VOCABULARY), LONGEST).to(device)
        decode, reconstruct = through(load_scene_autoencoder(self.files[1]).to(device), dtype, kind)

        def network(x: Tensor, t: Tensor, text: Tensor, bias: Tensor) -> Any:
            with torch.autocast(kind, dtype, enabled=dtype != torch.float32):
                return net(x, t, text, bias)

        def encode(texts: Sequence[str]) -> Condition:
            with torch.no_grad():
                return net.text(torch.from_numpy(padded_numbers(texts)).long().to(device))

        return self.model(
            network=network,
            interpolant=LinearInterpolant(),
            decoder=decode,
            reconstruct=reconstruct,
            encode=encode,
            batch_size=ROWS.get(kind),
            weights={path.name: sha256(path) for path in self.files},
        )
