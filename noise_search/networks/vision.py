"""Published vision networks for verifiers: DINOv2 through timm, CLIP through open_clip; from a file or the hub."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noise_search.errors import Refused
from noise_search.networks.clip_keys import transformers_state
from noise_search.networks.efficientnet import create, known_to_timm
from noise_search.networks.files import fetched, loaded, local, quiet
from noise_search.networks.precision import dtype_of
from noise_search.storage.cache import cached, digest, state_digest


class Preprocess(nn.Module):
    """images [N, 3, H, W] in [-1, 1] -> [N, 3, resolution, resolution], normalised as the network was trained.

    resize: of the shorter side, bicubic and antialiased, before `resolution` pixels are cut from the centre, as
    published: 256 for 224 under DINOv2's heads, 224 for 224 in CLIP. What is smaller than `resolution` loses nothing:
    it is enlarged to just that. None: no crop, the whole image is squashed. pad: neither; the longer side becomes
    `resolution`, with black on both sides of the other.
    """

    def __init__(
        self, resolution: int, mean: Sequence[float], std: Sequence[float], resize: int | None, pad: bool = False
    ) -> None:
        super().__init__()
        self.resolution, self.resize, self.pad = resolution, resize, pad
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        h, w = images.shape[2:]
        size = [self.resolution, self.resolution]
        if self.pad:
            size = [round(length * self.resolution / max(h, w)) for length in (h, w)]
        elif self.resize:
            short = self.resize if min(h, w) >= self.resolution else self.resolution
            size = [short * h // min(h, w), short * w // min(h, w)]
        if [h, w] != size:
            images = F.interpolate(images, size, mode="bicubic", align_corners=False, antialias=True)
        if self.pad:
            before, after = zip(
                *(((self.resolution - n) // 2, (self.resolution - n + 1) // 2) for n in size), strict=True
            )
            images = F.pad(images, (before[1], after[1], before[0], after[0]), value=-1.0)
        else:
            top, left = (round((length - self.resolution) / 2) for length in size)
            images = images[..., top : top + self.resolution, left : left + self.resolution]
        return ((images.clamp(-1, 1) + 1) / 2 - self.mean) / self.std


class DinoV2(nn.Module):
    """images [N, 3, H, W] in [-1, 1] -> features [N, (1 + layers) * width], as the published linear heads read them:
    the class tokens of the last `layers` blocks and the mean of the last patch tokens, all after the final norm.

    backbone: a timm name. file: its weights, timm's or the original ones; None: in weights/, else timm's hub.
    resolution: pixels, a multiple of 14. precision: "float32" or "bfloat16" (autocast). key: the setting that names
    the backbone, for messages; `<key>_file` names the file. crop: preprocess as the published heads' evaluation does,
    the shorter side to 8/7 of `resolution` and its centre; False: the whole image, squashed.
    """

    def __init__(
        self,
        backbone: str,
        file: str | None,
        resolution: int,
        layers: int,
        precision: str,
        key: str = "verifier.backbone",
        crop: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(resolution, int) or resolution % 14 or resolution < 14:
            raise Refused(f"verifier.resolution={resolution}: a multiple of 14 (the patch size)")
        if not isinstance(backbone, str) or not known_to_timm(backbone):
            raise Refused(f"{key}={backbone!r}: not a network that timm knows")
        file, what, key = file or local(f"{backbone}/model.safetensors"), f"weights of {backbone}", f"{key}_file"
        overlay = {"file": file} if file else None

        def load() -> Any:
            return create(backbone, pretrained=True, pretrained_cfg_overlay=overlay, img_size=resolution)

        command = f"hf download timm/{backbone} model.safetensors --local-dir weights/{backbone}"
        self.net: Any = loaded(load, file, key, what) if file else fetched(load, key, what, command)
        resize = round(resolution * 256 / 224) if crop else None
        self.preprocess = Preprocess(resolution, self.net.default_cfg["mean"], self.net.default_cfg["std"], resize)
        self.layers, self.dtype = layers, dtype_of(precision)
        self.eval().requires_grad_(False)

    @property
    def width(self) -> int:
        return int(self.net.num_features)

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, self.dtype, enabled=self.dtype != torch.float32):
            blocks = self.net.forward_intermediates(
                self.preprocess(images),
                indices=self.layers,
                return_prefix_tokens=True,
                norm=True,
                output_fmt="NLC",
                intermediates_only=True,
            )
        tokens = [prefix[:, 0] for _, prefix in blocks] + [blocks[-1][0].mean(1)]
        return torch.cat(tokens, 1).float()


class Clip(nn.Module):
    """images [N, 3, H, W] in [-1, 1] -> unit features [N, D]; and text features of class names.

    name: an open_clip architecture. pretrained: a file of its weights, as open_clip or transformers saves them, or a
    tag that open_clip fetches. key: the setting that names it, for messages. pad: see `Preprocess`.
    """

    def __init__(
        self, name: str, pretrained: str, precision: str, key: str = "verifier.pretrained", pad: bool = False
    ) -> None:
        super().__init__()
        try:
            import open_clip
        except ImportError as error:
            raise Refused("verifier: open_clip is not installed; `pip install open_clip_torch`") from error
        self.open_clip, self.name, self.dtype = open_clip, name, dtype_of(precision)
        if name not in open_clip.list_models():
            raise Refused(f"verifier.backbone={name!r}: not an architecture of open_clip (open_clip.list_models())")
        pretrained = local(f"{name}-{pretrained}/open_clip_model.safetensors") or pretrained
        given = "/" in pretrained or Path(pretrained).suffix != ""
        tags = open_clip.list_pretrained_tags_by_model(name)
        if not given and pretrained not in tags:
            raise Refused(f"{key}={pretrained!r}: a file, or one of {', '.join(tags)}")

        def load() -> Any:
            if not given or (state := transformers_state(Path(pretrained))) is None:
                return open_clip.create_model(name, pretrained=pretrained, require_pretrained=True)
            with quiet():  # that no weights are loaded: they are, below
                net = open_clip.create_model(name, pretrained=None)
            net.load_state_dict(state)
            return net

        self.net: Any
        if given:
            self.net = loaded(load, pretrained, key, f"weights of {name}")
        else:
            hub = str(open_clip.get_pretrained_cfg(name, pretrained).get("hf_hub", "")).strip("/")
            command = f"hf download {hub} --local-dir weights/{name}-{pretrained}"
            self.net = fetched(load, key, f"weights of {name} ({pretrained})", command)
        config = self.net.visual.preprocess_cfg
        size = config["size"] if isinstance(config["size"], int) else config["size"][0]
        resize = None if config.get("resize_mode") == "squash" else size
        self.preprocess = Preprocess(size, config["mean"], config["std"], resize=resize, pad=pad)
        self.eval().requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(images.device.type, self.dtype, enabled=self.dtype != torch.float32):
            features = self.net.encode_image(self.preprocess(images))
        return F.normalize(features.float(), dim=1)

    @property
    def scale(self) -> float:
        """The learned factor of its logits: scale * cosine."""
        return float(self.net.logit_scale.exp())

    def text_features(self, names: Sequence[str]) -> Tensor:
        """[classes, D], unit length: the mean over the 80 ImageNet templates; kept on disk by content."""
        templates = self.open_clip.OPENAI_IMAGENET_TEMPLATES
        words = [template(name) for name in names for template in templates]

        def make() -> Tensor:
            tokenizer = self.open_clip.get_tokenizer(self.name)
            device = next(self.net.parameters()).device
            with torch.no_grad():
                parts = [
                    self.net.encode_text(tokenizer(words[i : i + 400]).to(device)) for i in range(0, len(words), 400)
                ]
            unit = F.normalize(torch.cat(parts).float(), dim=1).view(len(names), len(templates), -1)
            return F.normalize(unit.mean(1), dim=1).cpu()

        return cached("text", digest(state_digest(self.net), *words), make)
