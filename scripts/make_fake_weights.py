"""Random weights in the exact format of every published file that an ImageNet run reads, small where it may be.

    python scripts/make_fake_weights.py DIR [--depth 2]

Writes DIR/SiT-XL-2-256x256.pt, DiT-XL-2-256x256.pt, DiT-XL-2-256/ (diffusers), vae/, dinov2_vits14_pretrain.pth and its
heads, open_clip_model.safetensors, weights-inception-2015-12-05-6726825d.pth and VIRTUAL_imagenet256_labeled.npz, and
prints the overrides of run.py that use them. Images made with them are noise: they prove that everything fits.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from noise_search.networks.transformer import DiffusionTransformer

SIZES = {"channels": 4, "size": 32, "patch": 2, "width": 96, "heads": 6, "classes": 1000}
BACKBONE = "vit_small_patch14_dinov2.lvd142m"
CLIP = "ViT-S-32-alt"  # the smallest text tower that open_clip knows


def transformer_state(depth: int = 2, out_channels: int = 8, seed: int = 0, **sizes: int) -> dict[str, Tensor]:
    """A state dict of the published names and shapes; every tensor random but the fixed positions."""
    torch.manual_seed(seed)
    net = DiffusionTransformer(**SIZES | {"depth": depth} | sizes, out_channels=out_channels)
    return {
        name: value if name == "pos_embed" else torch.randn(value.shape) / max(value.shape[-1], 4) ** 0.5
        for name, value in net.state_dict().items()
    }


def write_sit(path: Path, depth: int) -> None:
    """As the training code of SiT leaves it: {model, ema, opt, args}."""
    state = transformer_state(depth)
    torch.save({"model": state, "ema": state, "opt": {}, "args": argparse.Namespace(model="SiT-XL/2")}, path)


def write_diffusers_dit(folder: Path, depth: int = 2, safe: bool = True, **sizes: int) -> nn.Module:
    """A DiT-XL-2-256 folder; returns diffusers' own network, whose blocks share one embedder as published."""
    from diffusers import DiTTransformer2DModel

    torch.manual_seed(0)
    size = SIZES | sizes
    net = DiTTransformer2DModel(
        num_attention_heads=size["heads"],
        attention_head_dim=size["width"] // size["heads"],
        in_channels=4,
        out_channels=8,
        num_layers=depth,
        sample_size=size["size"],
        patch_size=2,
        num_embeds_ada_norm=size["classes"],
    ).eval()
    first = net.transformer_blocks[0].norm1.emb.state_dict()
    for block in net.transformer_blocks:
        block.norm1.emb.load_state_dict(first)
    net.save_pretrained(folder / "transformer", safe_serialization=safe)
    return net


def write_vae(folder: Path) -> None:
    """The SD VAE with few channels: four latent channels, eight pixels a latent, its scaling factor."""
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4}
    vae = AutoencoderKL(
        block_out_channels=[8, 8, 8, 8], norm_num_groups=4, latent_channels=4, scaling_factor=0.18215, **blocks
    )
    vae.save_pretrained(folder)


def write_dino(path: Path) -> None:
    """A ViT-S/14 as Meta published it: a mask token, and a position for the class token beside 37 x 37 patches."""
    import timm

    torch.manual_seed(0)
    net = timm.create_model(BACKBONE, pretrained=False, num_classes=0)
    state = {k: v if v.ndim < 2 else 0.05 * torch.randn_like(v) for k, v in net.state_dict().items()}
    state |= {k: torch.ones_like(v) for k, v in state.items() if "gamma" in k}
    state["mask_token"] = torch.zeros(1, 384)
    torch.save(state, path)


def write_dino_head(folder: Path, layers: int) -> Path:
    """Meta's linear heads are a Linear's state dict: weight [1000, (1 + layers) * 384] and bias [1000]."""
    path = folder / f"dinov2_vits14_linear{'4' if layers == 4 else ''}_head.pth"
    torch.manual_seed(layers)
    torch.save(nn.Linear((1 + layers) * 384, 1000).state_dict(), path)
    return path


def write_clip(path: Path, backbone: str = CLIP) -> None:
    """A CLIP as open_clip publishes it: the model's own state dict as safetensors."""
    import open_clip

    torch.manual_seed(0)
    save_file(open_clip.create_model(backbone, pretrained=None).state_dict(), path)


def write_inception(path: Path) -> None:
    """torch-fidelity's Inception: its own modules' state dict."""
    from torch_fidelity import feature_extractor_inceptionv3 as source

    torch.manual_seed(0)
    extractor = source.FeatureExtractorInceptionV3
    with (
        mock.patch.object(source, "load_state_dict_from_url", return_value={}),
        mock.patch.object(extractor, "load_state_dict", return_value=None),
    ):
        net = extractor("random", ["2048"])
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)  # so that images differ in their features
    torch.save(net.state_dict(), path)


def write_reference(path: Path, images: int = 32, size: int = 256) -> None:
    """ADM's reference: mu, sigma, mu_s, sigma_s, and the images they are of as arr_0."""
    rng = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {"arr_0": rng.integers(0, 256, (images, size, size, 3), dtype=np.uint8)}
    for suffix, width in (("", 2048), ("_s", 2023)):
        x = rng.standard_normal((2 * width, width), dtype=np.float32)
        arrays |= {f"mu{suffix}": x.mean(0), f"sigma{suffix}": np.cov(x.T)}
    np.savez(path, **arrays)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--depth", type=int, default=2)
    options = parser.parse_args(arguments)
    folder, depth = options.folder, options.depth
    folder.mkdir(parents=True, exist_ok=True)
    write_sit(folder / "SiT-XL-2-256x256.pt", depth)
    torch.save(transformer_state(depth), folder / "DiT-XL-2-256x256.pt")
    write_diffusers_dit(folder / "DiT-XL-2-256", depth)
    write_vae(folder / "vae")
    write_dino(folder / "dinov2_vits14_pretrain.pth")
    for layers in (1, 4):
        write_dino_head(folder, layers)
    write_clip(folder / "open_clip_model.safetensors")
    write_inception(folder / "weights-inception-2015-12-05-6726825d.pth")
    write_reference(folder / "VIRTUAL_imagenet256_labeled.npz")
    print(" ".join(overrides(folder, depth)))


def overrides(folder: Path, depth: int = 2, model: str = "SiT-XL-2-256x256.pt", verifier: str = "dino") -> list[str]:
    """Of run.py with model=sit_xl_2 or dit_xl_2, for the files in `folder`."""
    net = {"depth": depth} | {name: SIZES[name] for name in ("width", "heads")}
    files = {
        "model.weights": model,
        "model.vae": "vae",
        "metrics.weights": "weights-inception-2015-12-05-6726825d.pth",
        "metrics.reference": "VIRTUAL_imagenet256_labeled.npz",
    }
    out = [f"model.net.{name}={value}" for name, value in net.items()]
    if verifier == "dino":
        out += [f"verifier.backbone={BACKBONE}"]
        files |= {"verifier.backbone_file": "dinov2_vits14_pretrain.pth"}
        files |= {"verifier.head_file": "dinov2_vits14_linear_head.pth"}
    else:
        out += ["verifier=clip", f"verifier.backbone={CLIP}"]
        files |= {"verifier.pretrained": "open_clip_model.safetensors"}
    return out + [f"{key}={folder}/{name}" for key, name in files.items()]


if __name__ == "__main__":
    main()
