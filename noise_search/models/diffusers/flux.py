"""FLUX.1: dev, which is told its guidance, and schnell, which has none."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from noise_search.core.denoiser import Condition
from noise_search.models.diffusers.flow_matching import FlowMatching

PATCH = 2  # latents of 2 x 2 are one token
LONGEST = 512  # T5 tokens, the pipeline's own default
FEW_STEPS = 4  # of schnell


class Flux(FlowMatching):
    """Condition: T5's states [B, 512, D], CLIP's pooled state [B, D']; of dev the scale of guidance as well.

    schnell is not told a scale: above 1 it is guided by two passes (the pipeline's `true_cfg_scale`, which wants a
    negative prompt).
    """

    pipelines = ("FluxPipeline",)

    def __init__(self, pipe: Any, height: int | None = None, width: int | None = None) -> None:
        super().__init__(pipe, height, width)
        places = torch.zeros(self.shape[1] // PATCH, self.shape[2] // PATCH, 3)
        places[..., 1] += torch.arange(places.shape[0])[:, None]
        places[..., 2] += torch.arange(places.shape[1])
        self.places = places.flatten(0, 1).to(self.device, self.dtype)  # [tokens, 3]

    @property
    def distilled(self) -> bool:
        return bool(self.denoiser.config.guidance_embeds)

    @property
    def steps(self) -> int:
        return super().steps if self.distilled else FEW_STEPS

    @property
    def guidance(self) -> float:
        return super().guidance if self.distilled else 1.0

    @property
    def multiple(self) -> int:
        return int(self.pipe.vae_scale_factor) * PATCH

    @property
    def channels(self) -> int:
        return int(self.denoiser.config.in_channels) // PATCH**2

    def tokenizers(self) -> dict[str, tuple[Any, int]]:
        pipe = self.pipe
        return {"CLIP": (pipe.tokenizer, pipe.tokenizer_max_length), "T5": (pipe.tokenizer_2, LONGEST)}

    def block_costs(self) -> list[int]:
        """Texts and image are one sequence; a block of the first sort modulates each of the two, of the second both."""
        config, n = self.denoiser.config, len(self.places) + LONGEST
        width = config.num_attention_heads * config.attention_head_dim
        both = 12 * n * width**2 + 2 * n**2 * width
        return [both + 12 * width**2] * config.num_layers + [both + 3 * width**2] * config.num_single_layers

    def encode(self, texts: list[str]) -> Condition:
        tokens, pooled, _ = self.pipe.encode_prompt(texts, None, device=self.device, max_sequence_length=LONGEST)
        return tokens, pooled

    def set_timesteps(self, steps: int) -> None:
        mu = self.shift_by_size(len(self.places), 1.15)
        self.scheduler.set_timesteps(steps, sigmas=np.linspace(1.0, 1 / steps, steps), mu=mu)

    def velocity(self, x: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        tokens, pooled, *scale = condition
        out = self.denoiser(
            hidden_states=packed(x).to(self.dtype),
            timestep=(t * 1000).to(self.dtype) / 1000,
            guidance=scale[0] if scale else None,
            pooled_projections=pooled,
            encoder_hidden_states=tokens,
            txt_ids=self.places.new_zeros(tokens.shape[1], 3),
            img_ids=self.places,
            return_dict=False,
        )[0]
        return unpacked(out, self.shape)


def packed(x: Tensor) -> Tensor:
    """Latents [N, C, h, w] -> tokens [N, h/2 w/2, 4 C], as the pipeline's `latents` are."""
    n, c, h, w = x.shape
    return x.view(n, c, h // PATCH, PATCH, w // PATCH, PATCH).permute(0, 2, 4, 1, 3, 5).reshape(n, -1, c * PATCH**2)


def unpacked(tokens: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Tokens [N, h/2 w/2, 4 C] -> latents [N, C, h, w]; shape: (C, h, w)."""
    c, h, w = shape
    cells = tokens.view(-1, h // PATCH, w // PATCH, c, PATCH, PATCH)
    return cells.permute(0, 3, 1, 4, 2, 5).reshape(-1, c, h, w)
