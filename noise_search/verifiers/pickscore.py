"""PickScore: a CLIP that was trained on what people picked (Kirstain et al., arXiv 2305.01569; paper, table 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from noise_search.core.source import Hub
from noise_search.verifiers.image_text import ImageText

if TYPE_CHECKING:
    from torch import Tensor

SOURCE = Hub("yuvalkirstain/PickScore_v1", r"model\.safetensors", "weights/PickScore_v1/")
PARAMETERS = 986_109_441  # ViT-H/14


@dataclass(eq=False)
class PickScore(ImageText):
    """exp(logit_scale) * cosine, about 100 times it: raw, as the paper's table 3. file: the weights as transformers
    saved them, or as open_clip would."""

    file: str | None = None
    precision: str = "float32"

    transformers = True

    def __post_init__(self) -> None:
        self.from_hub("ViT-H-14", SOURCE, "model.safetensors", PARAMETERS)

    def named(self) -> str:
        return f"PickScore v1 (ViT-H/14, 224 px centre crop, {self.precision})"

    def scaled(self, cosine: Tensor) -> Tensor:
        return self.features.net.logit_scale.exp() * cosine
