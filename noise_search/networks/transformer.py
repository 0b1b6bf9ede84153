"""The transformer of DiT (Peebles and Xie, arXiv 2212.09748) and of SiT, with the parameter names of their files.

What its time and its output mean is the business of `models/sit.py` and `models/dit.py`.
"""

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from noise_search.networks.efficientnet import import_timm

layers = import_timm().layers


def sinusoids(values: Tensor, width: int, shift: int = 0) -> Tensor:
    """values [N] -> [N, width]: cosines, then sines, at frequencies 10000^(-i / (half - shift))."""
    half = width // 2
    frequencies = torch.exp(-math.log(10000.0) * torch.arange(half, device=values.device) / (half - shift))
    angles = values[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1)


def position_embedding(width: int, side: int) -> Tensor:
    """[1, side * side, width]: fixed sines and cosines of the column (first half) and of the row (second half)."""
    quarter = width // 4
    frequencies = 10000.0 ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
    row, column = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    parts = []
    for position in (column, row):
        angles = position.reshape(-1, 1).double() * frequencies
        parts += [angles.sin(), angles.cos()]
    return torch.cat(parts, dim=1).float()[None]


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:  # [N, T, D], [N, D], [N, D]
    return x * (1 + scale[:, None]) + shift[:, None]


def written_out(q: Tensor, k: Tensor, v: Tensor) -> Tensor:  # [N, heads, T, d] x 3 -> [N, heads, T, d]
    return torch.softmax(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, dim=-1).to(v.dtype) @ v


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """[N, heads, T, d] x 3 -> [N, heads, T, d]. Written out where a gradient is wanted on a CPU: the fused kernel's
    backward pass took twelve times as long there at 16 tokens, a third of a training step."""
    if q.requires_grad and q.device.type == "cpu":
        return written_out(q, k, v)
    return F.scaled_dot_product_attention(q, k, v)


class Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        return self.proj(attend(q, k, v).transpose(1, 2).reshape(n, tokens, width))


class Block(nn.Module):
    def __init__(self, width: int, heads: int, norm2_eps: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.norm2 = nn.LayerNorm(width, eps=norm2_eps, elementwise_affine=False)
        self.attn, self.mlp = Attention(width, heads), layers.Mlp(width, 4 * width, act_layer=layers.GELUTanh)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x: Tensor, c: Tensor, rows: Tensor | slice) -> Tensor:  # [N, T, D], [U, D], [N] -> [N, T, D]
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(c)[rows].chunk(6, dim=1)
        x = x + gate1[:, None] * self.attn(modulate(self.norm1(x), shift1, scale1))
        return x + gate2[:, None] * self.mlp(modulate(self.norm2(x), shift2, scale2))


class TimestepEmbedder(nn.Module):
    def __init__(self, width: int, shift: int) -> None:
        super().__init__()
        self.shift = shift
        self.mlp = nn.Sequential(nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, time: Tensor) -> Tensor:
        return self.mlp(sinusoids(time, 256, self.shift))


class LabelEmbedder(nn.Module):
    """classes + 1 rows; the last stands for "no class" (the null condition of guidance)."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, width)

    def forward(self, label: Tensor) -> Tensor:
        return self.embedding_table(label)


class PatchEmbed(nn.Module):
    def __init__(self, channels: int, patch: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:  # [N, C, H, W] -> [N, T, D]
        return self.proj(x).flatten(2).transpose(1, 2)


class FinalLayer(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.norm_final = nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)
        self.linear = nn.Linear(width, out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: Tensor, c: Tensor, rows: Tensor | slice) -> Tensor:
        shift, scale = self.adaLN_modulation(c)[rows].chunk(2, dim=1)
        return self.linear(modulate(self.norm_final(x), shift, scale))


class Transformer(Protocol):
    """What a network in the project's frame stands around: `DiffusionTransformer`, or what runs one with less work."""

    channels: int

    @property
    def classes(self) -> int: ...

    def __call__(self, x: Tensor, time: Tensor, label: Tensor, rows: Tensor | None = None) -> Tensor: ...


class DiffusionTransformer(nn.Module):
    """x [N, channels, size, size], time [N], label [N] -> [N, out_channels, size, size]. Where several rows have the
    same time and label, modulations need be made only once: time [U], label [U], and rows [N], which of them each has.

    out_channels: more than `channels` where the network was trained to predict variances too (learn_sigma); they come
    last. norm2_eps, shift: of the second norm of a block and of the frequencies of time; diffusers'
    copy of DiT differs there.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        patch: int,
        width: int,
        depth: int,
        heads: int,
        classes: int,
        out_channels: int | None = None,
        norm2_eps: float = 1e-6,
        shift: int = 0,
    ) -> None:
        super().__init__()
        self.channels, self.patch, self.side = channels, patch, size // patch
        self.out_channels = out_channels or channels
        self.x_embedder = PatchEmbed(channels, patch, width)
        self.t_embedder = TimestepEmbedder(width, shift)
        self.y_embedder = LabelEmbedder(classes, width)
        self.pos_embed = nn.Parameter(position_embedding(width, self.side), requires_grad=False)
        self.blocks = nn.ModuleList(Block(width, heads, norm2_eps) for _ in range(depth))
        self.final_layer = FinalLayer(width, patch * patch * self.out_channels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one latent: (C, H, W)."""
        return self.channels, self.side * self.patch, self.side * self.patch

    @property
    def classes(self) -> int:
        return self.y_embedder.embedding_table.num_embeddings - 1

    def embed(self, x: Tensor) -> Tensor:
        """-> tokens [N, T, D]."""
        return self.x_embedder(x) + self.pos_embed

    def condition(self, time: Tensor, label: Tensor) -> Tensor:
        """-> [U, D]."""
        return self.t_embedder(time) + self.y_embedder(label)

    def unembed(self, tokens: Tensor, c: Tensor, rows: Tensor | slice) -> Tensor:
        p, s, n = self.patch, self.side, len(tokens)
        patches = self.final_layer(tokens, c, rows).view(n, s, s, p, p, self.out_channels)
        return patches.permute(0, 5, 1, 3, 2, 4).reshape(n, self.out_channels, s * p, s * p)

    def forward(self, x: Tensor, time: Tensor, label: Tensor, rows: Tensor | None = None) -> Tensor:
        tokens, c, which = self.embed(x), self.condition(time, label), slice(None) if rows is None else rows
        for block in self.blocks:
            tokens = block(tokens, c, which)
        return self.unembed(tokens, c, which)


def initialise(net: DiffusionTransformer) -> None:
    """The published initialisation: Xavier for linear maps, zero for every gate and for the output."""
    state = net.state_dict()
    for name, value in state.items():
        if name == "pos_embed":
            continue
        if name.endswith("bias") or "adaLN" in name or "final_layer.linear" in name:
            nn.init.zeros_(value)
        elif "t_embedder" in name or "y_embedder" in name:
            nn.init.normal_(value, std=0.02)
        else:
            nn.init.xavier_uniform_(value.flatten(1))
