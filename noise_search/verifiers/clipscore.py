"""CLIPScore: 2.5 max(cos, 0) under OpenAI's CLIP (Hessel et al., arXiv 2104.08718; paper, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from noise_search.core.checks import require, require_one_of
from noise_search.core.source import Hub
from noise_search.verifiers.image_text import ImageText

if TYPE_CHECKING:
    from torch import Tensor

FILE = "open_clip_model.safetensors"


def openai(architecture: str, repository: str) -> Hub:
    """OpenAI's weights as open_clip's own; where its `pretrained=openai` is looked for too."""
    return Hub(repository, r"open_clip_model\.safetensors", f"weights/{architecture}-openai/")


BACKBONES = {  # open_clip's architecture, where its weights are, its parameters
    "B/32": (
        "ViT-B-32-quickgelu",
        openai("ViT-B-32-quickgelu", "timm/vit_base_patch32_clip_224.openai"),
        151_277_313,
    ),
    "L/14": (
        "ViT-L-14-quickgelu",
        openai("ViT-L-14-quickgelu", "timm/vit_large_patch14_clip_224.openai"),
        427_616_513,
    ),
}


@dataclass(eq=False)
class CLIPScore(ImageText):
    """2.5 max(cosine, 0), 0 to 2.5.

    backbone: of OpenAI's CLIPs, "B/32" (its authors') or "L/14": other scales. file: the weights. prefix: words before
    every text; its authors have "A photo depicts ", most others none.
    """

    backbone: str = "L/14"
    file: str | None = None
    prefix: str = ""
    precision: str = "float32"

    def __post_init__(self) -> None:
        require_one_of("backbone", self.backbone, tuple(BACKBONES))
        require("prefix", self.prefix, isinstance(self.prefix, str), "words that end with a space, or ''")
        architecture, source, parameters = BACKBONES[self.backbone]
        self.from_hub(architecture, source, FILE, parameters)

    def named(self) -> str:
        after = f", after {self.prefix!r}" if self.prefix else ""
        return f"CLIPScore (OpenAI ViT-{self.backbone}, 224 px centre crop, {self.precision}{after})"

    def scaled(self, cosine: Tensor) -> Tensor:
        return 2.5 * cosine.clamp_min(0)
