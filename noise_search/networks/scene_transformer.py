"""The embedded text-to-image network: an encoder of captions and a flow transformer that reads it."""

import torch
from torch import Tensor, nn

from noise_search.core.denoiser import Condition, Prediction
from noise_search.networks.transformer import TimestepEmbedder, modulate

TICKS = 100.0  # the sinusoids' units in t = 1


def normalised(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-6, elementwise_affine=False)


def attend(q: Tensor, k: Tensor, v: Tensor, bias: Tensor, heads: int) -> Tensor:
    """q [N, T, D]; k, v [N, S, D]; bias [N, S], added to what the keys weigh -> [N, T, D]."""
    q, k, v = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in (q, k, v))
    weights = torch.softmax((q @ k.transpose(-1, -2)) * q.shape[-1] ** -0.5 + bias[:, None, None], dim=-1)
    return (weights @ v).transpose(1, 2).flatten(2)


def perceptron(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))


class TextBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm1, self.norm2 = heads, nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj, self.mlp = nn.Linear(width, 3 * width), nn.Linear(width, width), perceptron(width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm1(x)).chunk(3, 2)
        x = x + self.proj(attend(q, k, v, bias, self.heads))
        return x + self.mlp(self.norm2(x))


class TextEncoder(nn.Module):
    """words int64 [N, longest], 0 after the end -> tokens [N, longest, width] and their bias [N, longest]: 0, and
    -10,000 after the end."""

    def __init__(self, vocabulary: int, longest: int, width: int, depth: int, heads: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.position = nn.Parameter(0.5 * torch.randn(longest, width))
        self.blocks = nn.ModuleList(TextBlock(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, words: Tensor) -> Condition:
        bias = (words == 0) * -1e4
        x = self.embedding(words) + self.position
        for block in self.blocks:
            x = block(x, bias)
        return self.norm(x), bias


class FlowBlock(nn.Module):
    """Image tokens attend to one another and to the text's. `shifts` [6, width] are its own part of the modulations."""

    def __init__(self, width: int, text_width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.norm1, self.norm2 = heads, normalised(width), normalised(width)
        self.qkv, self.proj, self.mlp = nn.Linear(width, 3 * width), nn.Linear(width, width), perceptron(width)
        self.text = nn.Linear(text_width, 2 * width)
        self.shifts = nn.Parameter(torch.zeros(6, width))

    def forward(self, x: Tensor, text: Tensor, bias: Tensor, changes: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = (changes + self.shifts).unbind(1)
        q, k, v = self.qkv(modulate(self.norm1(x), shift1, scale1)).chunk(3, 2)
        k, v = (torch.cat(pair, 1) for pair in zip((k, v), self.text(text).chunk(2, 2), strict=True))
        x = x + gate1[:, None] * self.proj(attend(q, k, v, bias, self.heads))
        return x + gate2[:, None] * self.mlp(modulate(self.norm2(x), shift2, scale2))


class SceneTransformer(nn.Module):
    """x [N, channels, side, side] at t [N] (1: noise) and a text's condition -> Prediction. One row of cost a row.

    One map makes the modulations of all blocks, as in PixArt (arXiv 2310.00426); text is read by the same attention
    as the picture. `text` is run once a caption, by itself.
    """

    def __init__(
        self,
        channels: int,
        side: int,
        width: int,
        depth: int,
        heads: int,
        vocabulary: int,
        longest: int,
        text_width: int,
        text_depth: int,
    ) -> None:
        super().__init__()
        self.channels, self.side = channels, side
        self.text = TextEncoder(vocabulary, longest, text_width, text_depth)
        self.embed = nn.Linear(channels, width)
        self.position = nn.Parameter(0.3 * torch.randn(side * side, width))
        self.time, self.pooled = TimestepEmbedder(width, 0), nn.Linear(text_width, width)
        self.changes = nn.Linear(width, 6 * width)
        blocks = [FlowBlock(width, text_width, heads) for _ in range(depth)]
        self.blocks, self.norm, self.last = nn.ModuleList(blocks), normalised(width), nn.Linear(width, channels)
        for layer in (self.last, *(block.mlp[2] for block in blocks), *(block.proj for block in blocks)):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        with torch.no_grad():
            for block in blocks:
                block.shifts[[2, 5]] = 1.0  # gates are open; what goes through them begins at zero

    def velocity(self, x: Tensor, t: Tensor, text: Tensor, bias: Tensor) -> Tensor:
        """eps - x0, [N, channels, side, side]."""
        tokens = self.embed(x.flatten(2).transpose(1, 2)) + self.position
        said = (bias == 0).to(text.dtype)[..., None]
        pooled = (text * said).sum(1) / said.sum(1).clamp(min=1)
        c = nn.functional.silu(self.time(TICKS * t) + self.pooled(pooled))
        changes = self.changes(c).unflatten(1, (6, -1))
        keys = torch.cat([bias.new_zeros(len(x), tokens.shape[1]), bias], 1)
        for block in self.blocks:
            tokens = block(tokens, text, keys, changes)
        out = self.last(modulate(self.norm(tokens), changes[:, 0], changes[:, 1]))
        return out.transpose(1, 2).unflatten(2, (self.side, self.side))

    def forward(self, x: Tensor, t: Tensor, text: Tensor, bias: Tensor) -> Prediction:
        v, level = self.velocity(x, t, text, bias).float(), t.view(-1, 1, 1, 1)
        return Prediction(x0=x - level * v, eps=x + (1 - level) * v)
