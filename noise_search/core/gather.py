"""Choosing among candidates: pure functions on [B, K] tensors. Like the algorithms, read without importing torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def take(values: Tensor, index: Tensor) -> Tensor:
    """values [B, K, ...], index int64 [B] or [B, M] -> [B, ...] or [B, M, ...]: each image's own choice."""
    picked = index.view(len(index), -1, *[1] * (values.ndim - 2)).expand(-1, -1, *values.shape[2:])
    return values.gather(1, picked).view(*index.shape, *values.shape[2:])


def top(scores: Tensor, count: int, groups: int = 1) -> Tensor:
    """scores [B * groups, M] -> int64 [B, groups * count]: the highest of each group, best first; ties to the earlier.

    The indices are into all groups * M candidates of an image.
    """
    best = scores.sort(dim=1, descending=True, stable=True).indices[:, :count].view(-1, groups, count)
    return (best + best.new_tensor(range(groups))[:, None] * scores.shape[1]).flatten(1)


def ranks(scores: Tensor) -> Tensor:
    """Rank of each of scores [B, K] within its image: 0 for the lowest, K - 1 for the highest, ties their mean."""
    other, own = scores[:, None, :], scores[:, :, None]
    return (other < own).sum(2) + ((other == own).sum(2) - 1) / 2


def mix(condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """[B, ...]: each image's `yes` where its condition [B] holds, else its `no`."""
    return yes.where(condition.view(-1, *[1] * (yes.ndim - 1)), no)
