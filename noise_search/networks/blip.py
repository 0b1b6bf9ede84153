"""BLIP as a reader of an image with a text (arXiv 2201.12086): a ViT, and a BERT that looks at it in every layer.

Modules are named as in the published files, so that a state dict fits as it is. Shapes: N rows, P image tokens (the
class token and the patches), T text tokens.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def attend(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None = None) -> Tensor:
    """query [N, T, D], key and value [N, S, D] -> [N, T, D]; mask: bool [N, S], which of S may be looked at."""
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (query, key, value))
    seen = None if mask is None else mask[:, None, None]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=seen).transpose(1, 2).flatten(2)


class ImageBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.attn["qkv"](self.norm1(x)).chunk(3, 2)
        x = x + self.attn["proj"](attend(q, k, v, self.heads))
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class ImageEncoder(nn.Module):
    """images [N, 3, size, size], normalised -> [N, P, width]."""

    def __init__(self, size: int, patch: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, (size // patch) ** 2 + 1, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.ModuleList(ImageBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, images: Tensor) -> Tensor:
        patches = self.patch_embed["proj"](images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(patches), -1, -1), patches], 1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Attention(nn.Module):
    """x [N, T, width] looks at `to` [N, S, seen]; a residual, then the norm."""

    def __init__(self, width: int, heads: int, seen: int) -> None:
        super().__init__()
        self.heads = heads
        maps = {"query": nn.Linear(width, width), "key": nn.Linear(seen, width), "value": nn.Linear(seen, width)}
        self.self = nn.ModuleDict(maps)
        self.output = output(width, width)

    def forward(self, x: Tensor, to: Tensor, mask: Tensor | None = None) -> Tensor:
        found = attend(self.self["query"](x), self.self["key"](to), self.self["value"](to), self.heads, mask)
        return self.output["LayerNorm"](self.output["dense"](found) + x)


def output(inner: int, width: int) -> nn.ModuleDict:
    return nn.ModuleDict({"dense": nn.Linear(inner, width), "LayerNorm": nn.LayerNorm(width, eps=1e-12)})


class TextLayer(nn.Module):
    def __init__(self, width: int, heads: int, seen: int) -> None:
        super().__init__()
        self.attention = Attention(width, heads, width)
        self.crossattention = Attention(width, heads, seen)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, 4 * width)})
        self.output = output(4 * width, width)

    def forward(self, x: Tensor, mask: Tensor, image: Tensor) -> Tensor:
        x = self.crossattention(self.attention(x, x, mask), image)
        return self.output["LayerNorm"](self.output["dense"](F.gelu(self.intermediate["dense"](x))) + x)


class TextEncoder(nn.Module):
    """tokens int64 [N, T], mask bool [N, T] (False: padding), image [N, P, seen] -> [N, T, width]."""

    def __init__(self, vocabulary: int, positions: int, width: int, depth: int, heads: int, seen: int) -> None:
        super().__init__()
        parts = {
            "word_embeddings": nn.Embedding(vocabulary, width),
            "position_embeddings": nn.Embedding(positions, width),
            "LayerNorm": nn.LayerNorm(width, eps=1e-12),
        }
        self.embeddings = nn.ModuleDict(parts)
        layers = nn.ModuleList(TextLayer(width, heads, seen) for _ in range(depth))
        self.encoder = nn.ModuleDict({"layer": layers})

    def forward(self, tokens: Tensor, mask: Tensor, image: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embeddings["word_embeddings"](tokens) + self.embeddings["position_embeddings"](places)
        x = self.embeddings["LayerNorm"](x)
        layers: Any = self.encoder["layer"]
        for layer in layers:
            x = layer(x, mask, image)
        return x
