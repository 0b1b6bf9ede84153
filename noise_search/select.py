"""Choosing among candidates: pure functions on [B, K] tensors."""

import torch
from torch import Tensor


def take(values: Tensor, index: Tensor) -> Tensor:
    """values [B, K, ...], index int64 [B] or [B, M] -> [B, ...] or [B, M, ...]: each image's own choice."""
    rows = torch.arange(len(values), device=values.device)
    return values[rows.view(-1, *[1] * (index.ndim - 1)), index]


def top(scores: Tensor, count: int) -> Tensor:
    """Indices int64 [B, count] of the highest of scores [B, K], best first; ties go to the earlier."""
    return scores.sort(dim=1, descending=True, stable=True).indices[:, :count]


def best_of_groups(scores: Tensor, groups: int) -> Tensor:
    """scores [B * groups, M] -> indices int64 [B, groups] into the groups * M candidates of an image, one a group."""
    first = torch.arange(groups, device=scores.device) * scores.shape[1]
    return first + scores.argmax(1).view(-1, groups)


def ranks(scores: Tensor) -> Tensor:
    """Rank of each of scores [B, K] within its image: 0 for the lowest, K - 1 for the highest, ties their mean."""
    other, own = scores[:, None, :], scores[:, :, None]
    return (other < own).sum(2) + ((other == own).sum(2) - 1) / 2


def mix(condition: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """[B, ...]: each image's `yes` where its condition [B] holds, else its `no`."""
    return torch.where(condition.view(-1, *[1] * (yes.ndim - 1)), yes, no)
