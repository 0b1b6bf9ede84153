"""A transformer whose later blocks are not run at every evaluation: what they add is remembered on the way."""

from typing import Any

import torch
from torch import Tensor, nn

from noise_search.networks.transformer import DiffusionTransformer

Due = Tensor | slice | None  # rows whose later blocks run: some (bool [N]), all, none


class Reuse:
    """What all blocks but the first add to the tokens, for one batch of rows on its way from noise to image: every
    evaluation is of the same rows. It is made anew, or forecast from the last `order` + 1 evaluations that made it, by
    the polynomial through them in time (order 0: the last again).

    every: evaluations from one that runs all blocks to the next, for all rows alike. threshold: instead, all blocks run
    for those rows alone whose tokens after the first block have moved, since they last did, by more than this share of
    their mean size; order 0 then. made: evaluations so far; left_out: int64 [N], those that ran the first block alone.
    """

    def __init__(self, every: int | None, order: int, threshold: float | None) -> None:
        self.every, self.order, self.threshold = every, order, threshold
        self.made = 0
        self.known: list[tuple[Tensor, Tensor]] = []  # (time [1], what the blocks added [N, T, D]), oldest first
        self.first = torch.empty(0)  # [N, T, D] after the first block, when the others ran last
        self.left_out = torch.empty(0)

    def begin(self, tokens: Tensor, time: Tensor) -> Due:
        """tokens [N, T, D] after the first block of the next evaluation, at time [1]."""
        if not self.made:
            self.left_out = torch.zeros(len(tokens), dtype=torch.int64, device=tokens.device)
        assert len(tokens) == len(self.left_out), "a batch was split on its way"
        due = self.all_or_none() if self.threshold is None else self.moved(tokens, self.threshold)
        self.tokens, self.time, self.due = tokens, time.float(), due
        self.left_out += 1 if due is None else 0 if isinstance(due, slice) else ~due
        self.made += 1
        return due

    def all_or_none(self) -> Due:
        return slice(None) if self.made % (self.every or 1) == 0 else None

    def moved(self, tokens: Tensor, threshold: float) -> Due:
        if not self.made:
            self.first = tokens.clone()
            return slice(None)
        size = self.first.abs().flatten(1).mean(1)
        moved = (tokens - self.first).abs().flatten(1).mean(1) > threshold * size
        return moved if moved.any() else None

    def end(self, out: Tensor | None = None) -> Tensor:
        """out: tokens of the rows that were due, after all blocks -> those of all rows, [N, T, D]."""
        if out is not None:
            added = out - self.tokens[self.due]
            if isinstance(self.due, slice):
                self.known = [*self.known, (self.time, added)][-1 - self.order :]
                return out
            self.known[0][1][self.due] = added
            self.first[self.due] = self.tokens[self.due]
        return self.tokens + forecast(self.known, self.time).to(self.tokens.dtype)


class CachedTransformer(nn.Module):
    """As `DiffusionTransformer`, for the batch of rows that `reuse` is of."""

    def __init__(self, net: DiffusionTransformer, reuse: Reuse) -> None:
        super().__init__()
        self.net, self.reuse = net, reuse
        self.channels, self.classes = net.channels, net.classes

    def forward(self, x: Tensor, time: Tensor, label: Tensor, rows: Tensor | None = None) -> Tensor:
        which = slice(None) if rows is None else rows
        tokens, c = self.net.embed(x), self.net.condition(time, label)
        tokens = self.net.blocks[0](tokens, c, which)
        due = self.reuse.begin(tokens, time[:1])
        if due is None:
            return self.net.unembed(self.reuse.end(), c, which)
        own = which
        if not isinstance(due, slice):
            own = (torch.arange(len(tokens), device=tokens.device) if rows is None else rows)[due]
        out = tokens[due]
        for block in self.net.blocks[1:]:
            out = block(out, c, own)
        return self.net.unembed(self.reuse.end(out), c, which)


def reusing(network: Any, reuse: Reuse) -> Any:
    """network, a `SiTNetwork` or `DiTNetwork`, around the same transformer with its blocks left out by `reuse`."""
    return network.over(CachedTransformer(network.net, reuse))


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
