"""Small networks that look at pictures of drawn scenes: a dual encoder of pictures and captions, and a critic."""

import math
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noise_search.networks.autoencoder import ResidualBlock
from noise_search.storage.weights import load_weights


def convolutions(widths: Sequence[int]) -> nn.Sequential:
    """[N, 3, 32, 32] -> [N, widths[-1], s, s]: a residual block at 16, 8, 4, ... pixels a side."""
    layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1), ResidualBlock(widths[0])]
    for before, width in pairwise(widths):
        layers += [nn.Conv2d(before, width, 3, stride=2, padding=1), ResidualBlock(width)]
    return nn.Sequential(*layers, nn.GroupNorm(8, widths[-1]), nn.SiLU())


class TextBlock(nn.Module):
    """[N, T, D] -> the same; there: bool [N, T], which of the words are there."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, there: Tensor) -> Tensor:
        n, words, width = x.shape
        shape = (n, words, 3, self.heads, width // self.heads)
        q, k, v = self.qkv(self.norm1(x)).view(shape).permute(2, 0, 3, 1, 4)
        likeness = (q @ k.transpose(-1, -2)) / math.sqrt(shape[-1])
        weights = likeness.masked_fill(~there[:, None, None], -1e4).softmax(-1).to(v.dtype)
        x = x + self.proj((weights @ v).transpose(1, 2).reshape(n, words, width))
        return x + self.mlp(self.norm2(x))


class DualEncoder(nn.Module):
    """Pictures [N, 3, 32, 32] in [-1, 1] and captions int64 [N, longest], 0 after their end, as unit vectors [N, D].

    A picture's is made from the mean of its places, a caption's from the mean of its words: what is there is known
    well, what belongs to what hardly."""

    def __init__(
        self, vocabulary: int, longest: int, widths: Sequence[int], text_width: int, text_depth: int, dimension: int
    ) -> None:
        super().__init__()
        self.picture = convolutions(widths)
        self.picture_out = nn.Linear(widths[-1], dimension)
        self.words = nn.Embedding(vocabulary, text_width)
        self.places = nn.Parameter(0.02 * torch.randn(longest, text_width))
        self.blocks = nn.ModuleList(TextBlock(text_width, 4) for _ in range(text_depth))
        self.norm, self.text_out = nn.LayerNorm(text_width), nn.Linear(text_width, dimension)
        self.log_scale = nn.Parameter(torch.tensor(math.log(10.0)))

    def see(self, images: Tensor) -> Tensor:
        return F.normalize(self.picture_out(self.picture(images).mean((2, 3))).float(), dim=1)

    def hear(self, words: Tensor) -> Tensor:
        there = words > 0
        x = self.words(words) + self.places
        for block in self.blocks:
            x = block(x, there)
        mean = (self.norm(x) * there[..., None]).sum(1) / there.sum(1, keepdim=True).clamp(min=1)
        return F.normalize(self.text_out(mean).float(), dim=1)


class Critic(nn.Module):
    """[N, 3, 32, 32] in [-1, 1] -> [N]: the log-odds that a picture is as it was drawn."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.picture, self.out = convolutions(widths), nn.Linear(2 * widths[-1], 1)

    def forward(self, images: Tensor) -> Tensor:
        seen = self.picture(images).float()
        return self.out(torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1)).squeeze(1)


def load_dual_encoder(path: Path, vocabulary: int, longest: int) -> DualEncoder:
    """From a file of scripts/train_scenes_clip.py; in evaluation mode, float32."""
    state, card = load_weights(path, "text_out.bias")
    net = DualEncoder(vocabulary, longest, **card["config"]["net"])
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)


def load_critic(path: Path) -> Critic:
    """From a file of scripts/train_scenes_aesthetic.py; in evaluation mode, float32."""
    state, card = load_weights(path, "out.bias")
    net = Critic(card["config"]["widths"])
    net.load_state_dict(state)
    return net.eval().requires_grad_(False)
