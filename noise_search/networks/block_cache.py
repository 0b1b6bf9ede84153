"""A transformer whose later blocks are not run at every evaluation: what they add is remembered on the way."""

import torch
from torch import Tensor, nn

from noise_search.networks.transformer import DiffusionTransformer


class CachedTransformer(nn.Module):
    """As `DiffusionTransformer`, for one batch of rows on its way from noise to image: every call is an evaluation of
    the same rows. The first block always runs. What the others add to its tokens is made anew, or forecast from the
    last `order` + 1 evaluations that made it, by the polynomial through them in time (order 0: the last again).

    every: evaluations from one that runs all blocks to the next, for all rows alike. threshold: instead, all blocks run
    for those rows alone whose tokens after the first block have moved, since they last did, by more than this share of
    their mean size; order 0 then. left_out: int64 [N], blocks not run so far, of each row.
    """

    def __init__(self, net: DiffusionTransformer, every: int | None, order: int, threshold: float | None) -> None:
        super().__init__()
        self.net, self.every, self.order, self.threshold = net, every, order, threshold
        self.channels, self.classes = net.channels, net.classes
        self.made = 0
        self.known: list[tuple[Tensor, Tensor]] = []  # (time [1], what the blocks added [N, T, D]), oldest first
        self.first = torch.empty(0)  # [N, T, D] after the first block, when the others ran last
        self.left_out = torch.empty(0)

    def forward(self, x: Tensor, time: Tensor, label: Tensor, rows: Tensor | None = None) -> Tensor:
        which = slice(None) if rows is None else rows
        tokens, c = self.net.embed(x), self.net.condition(time, label)
        tokens = self.net.blocks[0](tokens, c, which)
        if self.made == 0:
            self.left_out = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        assert len(x) == len(self.left_out), "a batch was split on its way"
        if self.threshold is not None:
            tokens = self.where_moved(tokens, c, rows, self.threshold)
        elif self.made % (self.every or 1) == 0:
            added = self.others(tokens, c, which) - tokens
            self.known = [*self.known, (time[:1], added)][-1 - self.order :]
            tokens = tokens + added
        else:
            tokens = tokens + forecast(self.known, time[:1])
            self.left_out += len(self.net.blocks) - 1
        self.made += 1
        return self.net.unembed(tokens, c, which)

    def others(self, tokens: Tensor, c: Tensor, which: Tensor | slice) -> Tensor:
        """All blocks but the first."""
        for block in self.net.blocks[1:]:
            tokens = block(tokens, c, which)
        return tokens

    def where_moved(self, tokens: Tensor, c: Tensor, rows: Tensor | None, threshold: float) -> Tensor:
        """The tokens after all blocks, which are run for the rows that need it."""
        if self.made == 0:
            moved = torch.ones(len(tokens), dtype=torch.bool, device=tokens.device)
            self.first, self.known = tokens.clone(), [(tokens.new_zeros(1), torch.zeros_like(tokens))]
        else:
            size = self.first.abs().flatten(1).mean(1)
            moved = (tokens - self.first).abs().flatten(1).mean(1) > threshold * size
        added = self.known[0][1]
        which = torch.arange(len(tokens), device=tokens.device) if rows is None else rows
        if moved.any():
            added[moved] = self.others(tokens[moved], c, which[moved]) - tokens[moved]
            self.first[moved] = tokens[moved]
        self.left_out += (len(self.net.blocks) - 1) * ~moved
        return tokens + added


def forecast(known: list[tuple[Tensor, Tensor]], time: Tensor) -> Tensor:
    """The polynomial through values [N, ...] at times [1] that differ, at another time [1] -> [N, ...]."""
    out = torch.zeros_like(known[-1][1])
    for i, (at, value) in enumerate(known):
        weight = torch.ones_like(time)
        for j, (other, _) in enumerate(known):
            if j != i:
                weight = weight * (time - other) / (at - other)
        out = out + weight * value
    return out
