"""DiT: of ImageNet's classes."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from noise_search.core.checks import require
from noise_search.core.dataset import IMAGENET
from noise_search.core.denoiser import Condition
from noise_search.core.model import dit_block
from noise_search.models.diffusers.ddpm import DDPM

FREQUENCIES = 256  # of time
CLASSES = 1000  # the label after them, no class, is fixed in the pipeline


class DiT(DDPM):
    """Condition: the class [B]. The pipeline takes no noise of another's, and makes one size only."""

    pipelines = ("DiTPipeline",)
    classes = CLASSES
    class_set = IMAGENET

    def __init__(self, pipe: Any, height: int | None = None, width: int | None = None) -> None:
        super().__init__(pipe, height, width)
        count = self.denoiser.config.num_embeds_ada_norm
        require("pipe.transformer.config.num_embeds_ada_norm", count, count == CLASSES, str(CLASSES))

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.channels, int(self.denoiser.config.sample_size), int(self.denoiser.config.sample_size))

    @property
    def side(self) -> int:
        return self.shape[1] * 2 ** (len(self.pipe.vae.config.block_out_channels) - 1)

    def size(self, name: str, value: int | None) -> int:
        require(name, value, value in (None, self.side), f"{self.side}, the only size of this pipeline")
        return self.side

    def block_costs(self) -> list[int]:
        """As of DiT, and each block embeds time for itself."""
        config, n = self.denoiser.config, self.shape[1] * self.shape[2] // self.denoiser.config.patch_size**2
        width = config.num_attention_heads * config.attention_head_dim
        return [dit_block(width, n) + (FREQUENCIES + width) * width] * config.num_layers

    def encode(self, texts: list[str]) -> Condition:
        raise AssertionError("of classes, not of texts")

    def told(self, x: Tensor, index: Tensor, *condition: Tensor) -> Tensor:
        out: Tensor = self.denoiser(x, timestep=index, class_labels=condition[0], return_dict=False)[0]
        return out
