"""The self-supervised similarity on SigLIP, a CLIP with a loss of pairs (arXiv 2303.15343; paper, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from noise_search.core.source import Hub
from noise_search.core.verifier import Surroundings
from noise_search.verifiers.clip import ClipSimilarity


@dataclass(eq=False)
class SiglipSimilarity(ClipSimilarity):
    """Similarity of SigLIP's image features of the image and of its early prediction, -1 to 1. The whole image is
    squashed to the network's size, as published. backbone, pretrained: open_clip's words, or a file of weights."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not ("/" in self.pretrained or Path(self.pretrained).suffix):
            folder = f"weights/{self.backbone}-{self.pretrained}/"
            self.sources = (Hub(f"timm/{self.backbone}", r"open_clip_model\.safetensors", folder),)

    def load(self, into: Surroundings) -> SiglipSimilarity:
        super().load(into)
        self.name = f"self-supervised SigLIP {self.backbone} (similarity)"
        return self
