"""Pipelines of diffusers with tiny networks of random weights, made on the spot: nothing is downloaded.

`tiny("flux_dev")` to `tiny("lcm")` (`FAMILIES`, and one that is not supported); 32 pixels are 8 latents everywhere.
Every text encoder's tokens are single characters, so that a text of 80 characters is longer than CLIP's 77 tokens.
A test module that runs them sets `pytestmark` from WARNINGS, which are those of diffusers itself.
"""

import json
import string
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

FAMILIES = ("flux_dev", "flux_schnell", "sd3", "sdxl", "pixart_sigma", "sana", "dit")
UNSUPPORTED = "lcm"
TRANSFORMER = {"sample_size": 8, "patch_size": 2, "in_channels": 4, "num_layers": 2, "attention_head_dim": 8}
WARNINGS = ("ignore:__array__ implementation:DeprecationWarning",)  # of its multistep scheduler, on newer numpy
SIDE = 32  # pixels
WIDTH = 16  # of text embeddings


def tiny(family: str, seed: int = 0) -> Any:
    """A pipeline on the CPU in float32, its weights a function of (family, seed); without a progress bar."""
    with torch.random.fork_rng(), TemporaryDirectory() as folder:
        torch.manual_seed(seed)
        pipe = MAKERS[family](Path(folder))
        for part in pipe.components.values():
            if isinstance(part, torch.nn.Module):
                redraw(part)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def redraw(network: torch.nn.Module) -> None:
    """Matrices that begin as zeros, as output layers do, get random numbers; all of it is ready to be used."""
    for values in network.parameters():
        if values.ndim > 1 and not values.any():
            torch.nn.init.normal_(values, std=0.2)
    network.eval().requires_grad_(False)


def write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")


LETTERS = string.printable[:94]  # all that is seen of ASCII
CLIP_TOKENS = [*LETTERS, *(letter + "</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
T5_TOKENS = ["<pad>", "</s>", "<unk>", "▁", *LETTERS]
GEMMA_TOKENS = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "▁", *LETTERS]


def numbered(tokens: list[str]) -> dict[str, int]:
    return {token: number for number, token in enumerate(tokens)}


def clip_tokenizer(folder: Path) -> Any:
    from transformers import CLIPTokenizer

    ends = {"unk_token": "<|endoftext|>", "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>"}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "pad_token": "<|endoftext|>", **ends}
    (folder / "vocab.json").write_text(json.dumps(numbered(CLIP_TOKENS)), "utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n", "utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return CLIPTokenizer.from_pretrained(folder)


def t5_tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import T5TokenizerFast

    scores = [(token, -2.0 if token in LETTERS else 0.0) for token in T5_TOKENS]
    tokenizer = Tokenizer(models.Unigram(scores, T5_TOKENS.index("<unk>"), False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "T5Tokenizer", "extra_ids": 0, "model_max_length": 512, "eos_token": "</s>"}
    settings |= {"pad_token": "<pad>", "unk_token": "<unk>"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return T5TokenizerFast.from_pretrained(folder)


def gemma_tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer, models, normalizers, processors
    from transformers import GemmaTokenizerFast

    tokenizer = Tokenizer(models.BPE(numbered(GEMMA_TOKENS), [], unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {"tokenizer_class": "GemmaTokenizer", "bos_token": "<bos>", "eos_token": "<eos>", "unk_token": "<unk>"}
    settings |= {"pad_token": "<pad>", "model_max_length": 8192}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), "utf-8")
    return GemmaTokenizerFast.from_pretrained(folder)


def clip_encoder(projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    sizes = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2, "projection_dim": WIDTH}
    start = len(CLIP_TOKENS) - 2
    ends = {"bos_token_id": start, "eos_token_id": start + 1, "pad_token_id": start + 1}
    config = CLIPTextConfig(vocab_size=start + 2, num_attention_heads=2, hidden_act="gelu", **sizes, **ends)
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def t5_encoder(width: int = WIDTH) -> Any:
    from transformers import T5Config, T5EncoderModel

    sizes = {"d_model": width, "d_kv": WIDTH // 2, "d_ff": 2 * WIDTH, "num_layers": 2, "num_heads": 2}
    return T5EncoderModel(T5Config(vocab_size=len(T5_TOKENS), feed_forward_proj="gated-gelu", **sizes))


def gemma_encoder() -> Any:
    from transformers import Gemma2Config, Gemma2Model

    sizes = {"hidden_size": WIDTH, "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2, "head_dim": WIDTH // 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    return Gemma2Model(Gemma2Config(vocab_size=len(GEMMA_TOKENS), **sizes, **heads))


def autoencoder(channels: int, scale: float, shift: float | None = None) -> Any:
    """32 pixels to 8 latents. shift: FLUX and SD3 have one, and no convolutions around the latents."""
    from diffusers import AutoencoderKL

    around = {} if shift is None else {"shift_factor": shift, "use_quant_conv": False, "use_post_quant_conv": False}
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(4, 4, 8),
        layers_per_block=1,
        latent_channels=channels,
        norm_num_groups=2,
        sample_size=SIDE,
        scaling_factor=scale,
        **around,
    )


def flux(folder: Path, guided: bool) -> Any:
    """guided: as dev is, told the scale; the shift of its schedule depends on the size then."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=guided,
        axes_dims_rope=(4, 4, 8),
    )
    shift = {"shift": 3.0, "use_dynamic_shifting": True} if guided else {"shift": 1.0}
    return FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(**shift),
        vae=autoencoder(4, 0.3611, 0.1159),
        text_encoder=clip_encoder(),
        tokenizer=clip_tokenizer(folder),
        text_encoder_2=t5_encoder(),
        tokenizer_2=t5_tokenizer(folder),
        transformer=transformer,
    )


def sd3(folder: Path) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    transformer = SD3Transformer2DModel(
        **TRANSFORMER,
        out_channels=4,
        num_attention_heads=4,
        joint_attention_dim=2 * WIDTH,
        caption_projection_dim=32,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=16,
    )
    return StableDiffusion3Pipeline(
        transformer=transformer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(4, 1.5305, 0.0609),
        text_encoder=clip_encoder(projected=True),
        tokenizer=clip_tokenizer(folder),
        text_encoder_2=clip_encoder(projected=True),
        tokenizer_2=clip_tokenizer(folder),
        text_encoder_3=t5_encoder(2 * WIDTH),
        tokenizer_3=t5_tokenizer(folder),
    )


def unet(**more: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(16, 32),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=(2, 4),
        use_linear_projection=True,
        **more,
    )


def sdxl(folder: Path) -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    table = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    added = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
    return StableDiffusionXLPipeline(
        vae=autoencoder(4, 0.13025),
        text_encoder=clip_encoder(),
        tokenizer=clip_tokenizer(folder),
        text_encoder_2=clip_encoder(projected=True),
        tokenizer_2=clip_tokenizer(folder),
        unet=unet(cross_attention_dim=2 * WIDTH, projection_class_embeddings_input_dim=6 * 8 + WIDTH, **added),
        scheduler=EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1, **table),
        add_watermarker=False,
    )


def pixart_sigma(folder: Path) -> Any:
    from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

    transformer = PixArtTransformer2DModel(
        **TRANSFORMER,
        out_channels=8,
        num_attention_heads=4,
        cross_attention_dim=32,
        caption_channels=WIDTH,
        use_additional_conditions=False,
    )
    return PixArtSigmaPipeline(
        tokenizer=t5_tokenizer(folder),
        text_encoder=t5_encoder(),
        vae=autoencoder(4, 0.13025),
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear"),
    )


def sana(folder: Path) -> Any:
    from diffusers import AutoencoderDC, DPMSolverMultistepScheduler, SanaPipeline, SanaTransformer2DModel

    transformer = SanaTransformer2DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=4,
        attention_head_dim=8,
        num_layers=2,
        num_cross_attention_heads=4,
        cross_attention_head_dim=8,
        cross_attention_dim=32,
        caption_channels=WIDTH,
        mlp_ratio=2.0,
        sample_size=8,
        patch_size=1,
    )
    vae = AutoencoderDC(
        latent_channels=8,
        attention_head_dim=4,
        encoder_block_types=("ResBlock", "ResBlock", "EfficientViTBlock"),
        decoder_block_types=("ResBlock", "ResBlock", "EfficientViTBlock"),
        encoder_block_out_channels=(8, 8, 8),
        decoder_block_out_channels=(8, 8, 8),
        encoder_qkv_multiscales=((), (), (5,)),
        decoder_qkv_multiscales=((), (), (5,)),
        encoder_layers_per_block=(1, 1, 1),
        decoder_layers_per_block=(1, 1, 1),
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        decoder_act_fns="silu",
        scaling_factor=0.41407,
    )
    flow = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}
    return SanaPipeline(
        tokenizer=gemma_tokenizer(folder),
        text_encoder=gemma_encoder(),
        vae=vae,
        transformer=transformer,
        scheduler=DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear", **flow),
    )


def dit(folder: Path) -> Any:
    from diffusers import DDIMScheduler, DiTPipeline, DiTTransformer2DModel

    transformer = DiTTransformer2DModel(
        **TRANSFORMER,
        num_attention_heads=2,
        out_channels=8,
        attention_bias=True,
        num_embeds_ada_norm=1000,
    )
    scheduler = DDIMScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear", clip_sample=False)
    names = {str(i): f"class {i}" for i in range(1000)}
    return DiTPipeline(transformer=transformer, vae=autoencoder(4, 0.18215), scheduler=scheduler, id2label=names)


def lcm(folder: Path) -> Any:
    """Of a class that is not supported."""
    from diffusers import LatentConsistencyModelPipeline, LCMScheduler

    return LatentConsistencyModelPipeline(
        vae=autoencoder(4, 0.18215),
        text_encoder=clip_encoder(),
        tokenizer=clip_tokenizer(folder),
        unet=unet(cross_attention_dim=WIDTH, time_cond_proj_dim=16),
        scheduler=LCMScheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


MAKERS: dict[str, Callable[[Path], Any]] = {
    "flux_dev": partial(flux, guided=True),
    "flux_schnell": partial(flux, guided=False),
    **{maker.__name__: maker for maker in (sd3, sdxl, pixart_sigma, sana, dit, lcm)},
}
