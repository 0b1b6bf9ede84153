"""SigLIP's similarity, on a small architecture of its kind with random weights."""

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Normalize, Resize, ToTensor

from noise_search.core.images import images_to_tensor
from noise_search.core.source import Hub
from noise_search.core.verifier import Candidates, Surroundings
from noise_search.verifiers.siglip import SiglipSimilarity

SMALL = {
    "embed_dim": 192,
    "init_logit_bias": -10,
    "custom_text": True,
    "vision_cfg": {
        "image_size": 224,
        "timm_model_name": "vit_tiny_patch16_224",
        "timm_model_pretrained": False,
        "timm_pool": "map",
        "timm_proj": "none",
    },
    "text_cfg": {"context_length": 8, "vocab_size": 50, "width": 16, "heads": 2, "layers": 1},
}


@pytest.fixture
def backbone(tmp_path: Path) -> str:
    (tmp_path / "small-SigLIP.json").write_text(json.dumps(SMALL))
    open_clip.add_model_config(tmp_path / "small-SigLIP.json")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = open_clip.create_model("small-SigLIP", pretrained=None)
    save_file(net.state_dict(), tmp_path / "weights.safetensors")
    return "small-SigLIP"


def test_it_is_the_cosine_of_squashed_images(backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = open_clip.get_pretrained_cfg("ViT-B-16-SigLIP", "webli")
    published = {key: settings[key] for key in ("mean", "std", "interpolation", "resize_mode")}
    make = open_clip.create_model

    def as_published(name: str, pretrained: str, require_pretrained: bool) -> torch.nn.Module:
        net = make(name, pretrained=pretrained, require_pretrained=require_pretrained)
        net.visual.preprocess_cfg = net.visual.preprocess_cfg | published
        return net

    monkeypatch.setattr(open_clip, "create_model", as_published)
    y, x = np.mgrid[:48, :96] / 20
    waves = np.stack([np.sin(x + y / 3), np.cos(x / 2 - y), np.sin(x * y)], -1)
    pixels = (127.5 + 127.5 * np.stack([waves, np.roll(waves, 9, 1), waves[::-1]])).astype(np.uint8)
    images = images_to_tensor(pixels)
    options = {"view": 0.4, "precision": "float32"}
    verifier = SiglipSimilarity(backbone, str(tmp_path / "weights.safetensors"), **options).load(Surroundings())
    seen = Candidates(images[None, :2], torch.tensor([0]), images[None, 1:, None])
    net = verifier.features.net
    after = [ToTensor(), Normalize(settings["mean"], settings["std"])]
    squashed = Compose([Resize((224, 224), InterpolationMode.BICUBIC), *after])
    cropped = Compose([Resize(224, InterpolationMode.BICUBIC), CenterCrop(224), *after])
    with torch.no_grad():
        both = [net.visual(torch.stack([t(Image.fromarray(one)) for one in pixels])) for t in (squashed, cropped)]
        expected, other = (torch.cosine_similarity(features[:2], features[1:]) for features in both)
        found = verifier.score(seen)[0]
    assert torch.allclose(found, expected, atol=1e-4) and ((other - expected).abs() > 5e-3).all()
    assert verifier.needs == (0.4,) and verifier.name.startswith("self-supervised SigLIP")


def test_its_file_is_open_clips_own() -> None:
    verifier = SiglipSimilarity("ViT-B-16-SigLIP", "webli", 0.4)
    (source,) = verifier.sources
    assert isinstance(source, Hub) and source.target == "weights/ViT-B-16-SigLIP-webli/"
    known = open_clip.get_pretrained_cfg("ViT-B-16-SigLIP", "webli")
    assert known["hf_hub"].strip("/") == source.repo and known["resize_mode"] == "squash"
    assert not SiglipSimilarity("ViT-B-16-SigLIP", "my/own.safetensors", 0.4).sources
