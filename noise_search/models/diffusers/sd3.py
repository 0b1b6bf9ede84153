"""Stable Diffusion 3 and 3.5."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from noise_search.core.denoiser import Condition
from noise_search.models.diffusers.flow_matching import FlowMatching

LONGEST = 256  # T5 tokens, the pipeline's own default


class StableDiffusion3(FlowMatching):
    """Condition: the states of both CLIPs and of T5, one after another, [B, 77 + 256, D]; CLIP's pooled states."""

    pipelines = ("StableDiffusion3Pipeline",)

    def tokenizers(self) -> dict[str, tuple[Any, int]]:
        pipe, clip = self.pipe, self.pipe.tokenizer_max_length
        out = {"CLIP-L": (pipe.tokenizer, clip), "CLIP-G": (pipe.tokenizer_2, clip)}
        return out | ({} if pipe.text_encoder_3 is None else {"T5": (pipe.tokenizer_3, LONGEST)})

    def block_costs(self) -> list[int]:
        """Texts and image are one sequence, and modulated each. Some blocks of 3.5 have a second attention, of the
        image alone; the last does nothing more with the texts after its attention."""
        config = self.denoiser.config
        width = config.num_attention_heads * config.attention_head_dim
        texts, image = self.pipe.tokenizer_max_length + LONGEST, self.shape[1] * self.shape[2] // config.patch_size**2
        n = texts + image
        both = 12 * n * width**2 + 2 * n**2 * width + 12 * width**2
        second = 4 * image * width**2 + 2 * image**2 * width + 3 * width**2
        out = [both + second * (i in config.get("dual_attention_layers", ())) for i in range(config.num_layers)]
        out[-1] -= (9 * texts + 4) * width**2
        return out

    def encode(self, texts: list[str]) -> Condition:
        tokens, _, pooled, _ = self.pipe.encode_prompt(
            texts, None, None, device=self.device, do_classifier_free_guidance=False, max_sequence_length=LONGEST
        )
        return tokens, pooled

    def set_timesteps(self, steps: int) -> None:
        more = {}
        if self.scheduler.config.get("use_dynamic_shifting", False):
            more["mu"] = self.shift_by_size(self.shape[1] * self.shape[2] // self.denoiser.config.patch_size**2, 1.16)
        self.scheduler.set_timesteps(steps, **more)

    def velocity(self, x: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        tokens, pooled = condition
        out: Tensor = self.denoiser(
            hidden_states=x.to(self.dtype),
            timestep=t * 1000,
            encoder_hidden_states=tokens,
            pooled_projections=pooled,
            return_dict=False,
        )[0]
        return out
