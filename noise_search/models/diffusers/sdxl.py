"""Stable Diffusion XL."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from noise_search.core.checks import require
from noise_search.core.denoiser import Condition
from noise_search.models.diffusers.ddpm import DDPM


class StableDiffusionXL(DDPM):
    """Condition: the states of both CLIPs side by side, [B, 77, D], and the second one's pooled state. The network is
    told the size as well: asked for whole images, cut nowhere, of the size that is made."""

    pipelines = ("StableDiffusionXLPipeline",)
    stand_in = "EulerDiscreteScheduler"

    def __init__(self, pipe: Any, height: int | None = None, width: int | None = None) -> None:
        super().__init__(pipe, height, width)
        told = self.denoiser.config.time_cond_proj_dim
        require("pipe.unet.config.time_cond_proj_dim", told, told is None, "null: no network that is told its guidance")
        mean = pipe.vae.config.get("latents_mean")
        require("pipe.vae.config.latents_mean", mean, mean is None, "null")
        size, second = (self.height, self.width), pipe.text_encoder_2
        ids = pipe._get_add_time_ids(
            size, (0, 0), size, dtype=self.dtype, text_encoder_projection_dim=second.config.projection_dim
        )
        self.size_ids = ids.to(self.device)  # [1, 6]

    @property
    def multiple(self) -> int:
        return int(self.pipe.vae_scale_factor)

    def tokenizers(self) -> dict[str, tuple[Any, int]]:
        first, second = self.pipe.tokenizer, self.pipe.tokenizer_2
        return {"CLIP-L": (first, first.model_max_length), "CLIP-G": (second, second.model_max_length)}

    def encode(self, texts: list[str]) -> Condition:
        tokens, _, pooled, _ = self.pipe.encode_prompt(texts, device=self.device, do_classifier_free_guidance=False)
        return tokens, pooled

    def encode_null(self, negative_prompt: str | None) -> Condition:
        """Without a negative prompt zeros, where the pipeline says so (`force_zeros_for_empty_prompt`)."""
        condition = self.encode([negative_prompt or ""])
        if negative_prompt is None and self.pipe.config.force_zeros_for_empty_prompt:
            return tuple(torch.zeros_like(values) for values in condition)
        return condition

    def told(self, x: Tensor, index: Tensor, *condition: Tensor) -> Tensor:
        tokens, pooled = condition
        added = {"text_embeds": pooled, "time_ids": self.size_ids.expand(len(x), -1)}
        out: Tensor = self.denoiser(x, index, encoder_hidden_states=tokens, added_cond_kwargs=added, return_dict=False)[
            0
        ]
        return out

    def decode(self, x: Tensor) -> Tensor:
        """In float32 where half precision overflows (`force_upcast`), as the pipeline does."""
        vae = self.pipe.vae
        upcast = vae.dtype == torch.float16 and vae.config.force_upcast
        if not upcast:
            return super().decode(x)
        vae.to(torch.float32)
        try:
            return super().decode(x)
        finally:
            vae.to(torch.float16)
