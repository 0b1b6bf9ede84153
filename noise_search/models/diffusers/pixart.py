"""PixArt-Sigma."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from typing import Any

from torch import Tensor

from noise_search.core.denoiser import Condition
from noise_search.models.diffusers.ddpm import DDPM

log = logging.getLogger("noise_search")
LONGEST = 300  # T5 tokens, the pipeline's own default


class PixArtSigma(DDPM):
    """Condition: T5's states [B, 300, D] and which of them are the text's, [B, 300]. The second half of what the
    network tells, a variance, is not needed.

    Its own scheduler remembers steps: DDIM stands in for it, as in the paper, at equally spaced indices from the last.
    Texts are cleaned as the pipeline does by default, for which it needs two packages more. Images are made at the size
    that is asked for, which the pipeline does with `use_resolution_binning=False`.
    """

    pipelines = ("PixArtSigmaPipeline",)
    stand_in = "DDIMScheduler"

    def __init__(self, pipe: Any, height: int | None = None, width: int | None = None) -> None:
        super().__init__(pipe, height, width)
        self.cleans = find_spec("bs4") is not None and find_spec("ftfy") is not None
        if not self.cleans:
            log.warning(
                "texts are put into lower case only: for the pipeline's cleaning install beautifulsoup4 and ftfy"
            )

    def stand_in_settings(self) -> dict[str, Any]:
        return {"timestep_spacing": "trailing", "clip_sample": False, "set_alpha_to_one": True}

    def tokenizers(self) -> dict[str, tuple[Any, int]]:
        return {"T5": (self.pipe.tokenizer, LONGEST)}

    def block_costs(self) -> list[int]:
        """Attention to itself and to the text, a perceptron; modulations are made once for all blocks."""
        config = self.denoiser.config
        width, n = config.num_attention_heads * config.attention_head_dim, self.shape[1] * self.shape[2]
        n //= config.patch_size**2
        own = 4 * n * width**2 + 2 * n**2 * width
        text = 2 * (n + LONGEST) * width**2 + 2 * n * LONGEST * width
        return [own + text + 8 * n * width**2] * config.num_layers

    def encode(self, texts: list[str]) -> Condition:
        tokens, mask, _, _ = self.pipe.encode_prompt(
            texts, do_classifier_free_guidance=False, device=self.device, clean_caption=self.cleans
        )
        return tokens, mask

    def told(self, x: Tensor, index: Tensor, *condition: Tensor) -> Tensor:
        tokens, mask = condition
        out: Tensor = self.denoiser(
            x,
            encoder_hidden_states=tokens,
            encoder_attention_mask=mask,
            timestep=index,
            added_cond_kwargs={"resolution": None, "aspect_ratio": None},
            return_dict=False,
        )[0]
        return out
