"""SANA."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from noise_search.core.checks import require
from noise_search.core.denoiser import Condition
from noise_search.models.diffusers.flow_matching import FlowMatching

LONGEST = 300  # Gemma tokens, the pipeline's own default


class Sana(FlowMatching):
    """Condition: Gemma's states [B, 300, D] and which of them are read, [B, 300].

    Its own scheduler remembers steps: Euler's on the same path, with the same shift, stands in for it. Images are made
    at the size that is asked for, which the pipeline does with `use_resolution_binning=False`.
    """

    pipelines = ("SanaPipeline",)
    stand_in = "FlowMatchEulerDiscreteScheduler"

    def stand_in_settings(self) -> dict[str, Any]:
        config = self.pipe.scheduler.config
        flow = config.get("use_flow_sigmas", False)
        require("pipe.scheduler.config.use_flow_sigmas", flow, flow, "true")
        return {"shift": config.flow_shift}

    def set_timesteps(self, steps: int) -> None:
        """Of the stand-in: shifted once, as its own scheduler's are; without `sigmas` Euler's shifts them twice."""
        own = type(self.pipe.scheduler).__name__ in self.schedulers
        more = {} if own else {"sigmas": np.linspace(1.0, 1 / steps, steps)}
        self.scheduler.set_timesteps(steps, **more)

    def tokenizers(self) -> dict[str, tuple[Any, int]]:
        return {"Gemma": (self.pipe.tokenizer, LONGEST - 1)}  # one is the end of the instruction before the text

    def block_costs(self) -> list[int]:
        """Linear attention to itself, attention to the text, convolutions; modulations are made once for all blocks."""
        config, n = self.denoiser.config, self.shape[1] * self.shape[2] // self.denoiser.config.patch_size**2
        width = config.num_attention_heads * config.attention_head_dim
        inner = config.num_cross_attention_heads * config.cross_attention_head_dim
        hidden = int(config.mlp_ratio * width)
        own = 4 * n * width**2 + 2 * n * width * (config.attention_head_dim + 1)
        text = 2 * n * width * inner + 2 * LONGEST * config.cross_attention_dim * inner + 2 * n * LONGEST * inner
        mixed = n * (3 * width + 9 * 2) * hidden
        return [own + text + mixed] * config.num_layers

    def encode(self, texts: list[str]) -> Condition:
        """With the instruction to describe an image that the pipeline puts before every text by default."""
        return self.states(texts, self.default("complex_human_instruction"))

    def encode_null(self, negative_prompt: str | None) -> Condition:
        return self.states([negative_prompt or ""], None)

    def states(self, texts: list[str], instruction: list[str] | None) -> Condition:
        tokens, mask, _, _ = self.pipe.encode_prompt(
            texts,
            do_classifier_free_guidance=False,
            device=self.device,
            clean_caption=self.default("clean_caption"),
            complex_human_instruction=instruction,
        )
        return tokens, mask

    def velocity(self, x: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        tokens, mask = condition
        out: Tensor = self.denoiser(
            x.to(self.dtype),
            encoder_hidden_states=tokens.to(self.dtype),
            encoder_attention_mask=mask,
            timestep=t * 1000 * self.denoiser.config.timestep_scale,
            return_dict=False,
        )[0]
        return out[:, : self.channels]
