"""ImageReward's network and its published file (arXiv 2304.05977): BLIP, and an affine head on the first token."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from noise_search.errors import MissingFile, Refused
from noise_search.networks.blip import ImageEncoder, TextEncoder
from noise_search.networks.checkpoints import read_tensors
from noise_search.networks.precision import dtype_of
from noise_search.networks.reward_head import WIDTHS, folded
from noise_search.networks.vision import Preprocess

log = logging.getLogger("noise_search")

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)  # CLIP's, of images
CENTRE, SCALE = 0.16717362830052426, 1.0333394966054072  # of raw rewards over the makers' validation set
LENGTH = 35  # tokens of a text, [CLS] and [SEP] among them
UNUSED = ("blip.vision_proj.", "blip.text_proj.", "blip.text_encoder.embeddings.position_ids")


@dataclass(frozen=True)
class Sizes:
    """The published ones. image, patch: pixels; the text's width is the head's first."""

    image: int = 224
    patch: int = 16
    width: int = 1024
    depth: int = 24
    heads: int = 16
    vocabulary: int = 30524
    positions: int = 512
    text_depth: int = 12
    text_heads: int = 12
    head: tuple[int, ...] = WIDTHS


class ImageReward(nn.Module):
    """images [N, 3, H, W] in [-1, 1], tokens and mask [N, 35] -> rewards [N], float32, normalised as published: mean 0
    and deviation 1 over the makers' validation set.

    Cost of a row: a ViT-L/16 at 224 pixels and a BERT of 35 tokens; 446 M parameters.
    """

    def __init__(self, sizes: Sizes, precision: str) -> None:
        super().__init__()
        s, width = sizes, sizes.head[0]
        parts = {
            "visual_encoder": ImageEncoder(s.image, s.patch, s.width, s.depth, s.heads),
            "text_encoder": TextEncoder(s.vocabulary, s.positions, width, s.text_depth, s.text_heads, s.width),
        }
        self.blip = nn.ModuleDict(parts)
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", torch.zeros(width), persistent=False)
        self.register_buffer("bias", torch.zeros(()), persistent=False)
        self.preprocess: nn.Module = nn.Identity()
        self.dtype, self.vocabulary = dtype_of(precision), s.vocabulary

    def forward(self, images: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
        with torch.autocast(images.device.type, self.dtype, enabled=self.dtype != torch.float32):
            image = self.blip["visual_encoder"](self.preprocess(images))
            first = self.blip["text_encoder"](tokens, mask, image)[:, 0]
        return first.float() @ self.weight + self.bias


def load_imagereward(path: Path, precision: str, sizes: Sizes = Sizes()) -> ImageReward:
    """The network in evaluation mode, on the CPU. Nothing but tensors is read from the file."""
    state = read_tensors(path)
    head = {name.removeprefix("mlp."): value for name, value in state.items() if name.startswith("mlp.")}
    weight, bias = folded(head, path, sizes.head)
    kept = {k: v.float() for k, v in state.items() if not k.startswith(("mlp.", *UNUSED))}
    with torch.device("meta"):
        net = ImageReward(sizes, precision)
    try:
        net.load_state_dict(kept, assign=True)
    except RuntimeError as error:
        raise Refused(f"{path}: not the weights of ImageReward: {' '.join(str(error).split())[:300]}") from error
    net.weight, net.bias = (weight / SCALE).float(), ((bias - CENTRE) / SCALE).float()
    net.preprocess = Preprocess(sizes.image, MEAN, STD, resize=sizes.image)
    return net.eval().requires_grad_(False)


class Words:
    """Texts -> tokens int64 and mask bool [N, 35], as BERT's uncased vocabulary reads them: [CLS] words [SEP], padded.

    Longer texts lose their end, as published, and are told of once each.
    """

    def __init__(self, vocabulary: Path, key: str) -> None:
        try:
            from tokenizers import BertWordPieceTokenizer
        except ImportError as error:
            raise Refused(
                "verifier=imagereward: tokenizers is not installed; `pip install noise_search[text]`"
            ) from error
        if not vocabulary.is_file():
            raise MissingFile(f"{key}={vocabulary}: there is no such file (the vocabulary of bert-base-uncased)")
        lines = vocabulary.read_text(encoding="utf-8", errors="replace").split("\n")
        known = {word: number for number, word in enumerate(word.strip("\r") for word in lines) if word}
        if wanting := {"[CLS]", "[SEP]", "[PAD]", "[UNK]"} - known.keys():
            raise Refused(f"{key}={vocabulary}: no vocabulary of BERT's, it has no {min(wanting)}")
        self.reader: Any = BertWordPieceTokenizer(known, lowercase=True)
        self.size, self.told = len(known), set[str]()

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        self.reader.no_truncation()
        long = [text for text in dict.fromkeys(texts) if len(self.reader.encode(text).ids) > LENGTH]
        if new := [text for text in long if text not in self.told]:
            self.told.update(new)
            log.warning("ImageReward reads %d tokens: the end of %d texts is lost, as of %r", LENGTH, len(new), new[0])
        self.reader.enable_truncation(LENGTH)
        self.reader.enable_padding(length=LENGTH, pad_id=self.reader.token_to_id("[PAD]"))
        read = self.reader.encode_batch(list(texts))
        return torch.tensor([one.ids for one in read]), torch.tensor([one.attention_mask for one in read]).bool()
