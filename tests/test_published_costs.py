"""multiply_adds and parameters of the published networks of SDXL, PixArt-Sigma and SANA, counted on the meta device."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from noise_search.models.diffusers.pretrained import Pretrained
from tests.test_configs import described
from tests.test_pretrained import after_blocks, written_out

CLIP_L, CLIP_G, T5, GEMMA, VAE = 123060480, 694659840, 4762310656, 2614341888, 83653863  # parameters
DEEP_VAE = 298755555  # of SANA, 32 pixels a latent

SDXL = {
    "sample_size": 128,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "block_out_channels": (320, 640, 1280),
    "transformer_layers_per_block": [1, 2, 10],
    "attention_head_dim": [5, 10, 20],
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}
PIXART = {
    "sample_size": 128,
    "num_layers": 28,
    "num_attention_heads": 16,
    "attention_head_dim": 72,
    "in_channels": 4,
    "out_channels": 8,
    "cross_attention_dim": 1152,
    "caption_channels": 4096,
    "use_additional_conditions": False,
    "interpolation_scale": 2,
}
SANA = {
    "sample_size": 32,
    "num_layers": 20,
    "num_attention_heads": 70,
    "attention_head_dim": 32,
    "num_cross_attention_heads": 20,
    "cross_attention_head_dim": 112,
    "cross_attention_dim": 2240,
    "caption_channels": 2304,
    "mlp_ratio": 2.5,
    "patch_size": 1,
}


def sdxl(empty: Callable[..., Tensor]) -> tuple[Any, dict[str, Any]]:
    from diffusers import UNet2DConditionModel

    added = {"text_embeds": empty(1, 1280), "time_ids": empty(1, 6)}
    given = {"sample": empty(1, 4, 128, 128), "timestep": empty(1), "encoder_hidden_states": empty(1, 77, 2048)}
    return UNet2DConditionModel(**SDXL), given | {"added_cond_kwargs": added}


def pixart(empty: Callable[..., Tensor]) -> tuple[Any, dict[str, Any]]:
    from diffusers import PixArtTransformer2DModel

    given = {"hidden_states": empty(1, 4, 128, 128), "encoder_hidden_states": empty(1, 300, 4096), "timestep": empty(1)}
    return PixArtTransformer2DModel(**PIXART), given | {"added_cond_kwargs": {"resolution": None, "aspect_ratio": None}}


def sana(empty: Callable[..., Tensor]) -> tuple[Any, dict[str, Any]]:
    from diffusers import SanaTransformer2DModel

    given = {"hidden_states": empty(1, 32, 32, 32), "encoder_hidden_states": empty(1, 300, 2304), "timestep": empty(1)}
    return SanaTransformer2DModel(**SANA), given


CASES = {
    "sdxl": (sdxl, CLIP_L + CLIP_G + VAE),
    "sdxl_dpo": (sdxl, CLIP_L + CLIP_G + VAE),
    "pixart_sigma": (pixart, T5 + VAE),
    "sana": (sana, GEMMA + DEEP_VAE),
}


@pytest.mark.parametrize("name", CASES)
def test_the_costs_of_published_models_are_those_of_their_networks(name: str) -> None:
    make, others = CASES[name]
    with torch.device("meta"):
        network, given = make(torch.empty)
        attention = mock.patch.object(torch.nn.functional, "scaled_dot_product_attention", written_out)
        with attention, torch.no_grad(), FlopCounterMode(display=False) as counter:
            after = after_blocks(network, counter)
            network(**given)
    model = described(f"model={name}", "verifier=brightness").model
    assert isinstance(model, Pretrained) and model.shape == tuple(next(iter(given.values())).shape[1:])
    assert counter.get_total_flops() // 2 == pytest.approx(model.multiply_adds, rel=1e-3)
    assert model.reusable == ((after[-1] - after[0]) // 2 if after else None)
    own = sum(values.numel() for values in network.parameters())
    assert own + others == pytest.approx(model.parameters, rel=1e-6)
