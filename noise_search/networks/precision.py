"""The types that networks compute in."""

from typing import TypeVar

import torch
from torch import nn

from noise_search.core.checks import require_precision

Net = TypeVar("Net", bound=nn.Module)


def dtype_of(precision: str) -> torch.dtype:
    """The torch type that a `precision` setting names."""
    require_precision("precision", precision)
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def cast_weights(net: Net, dtype: torch.dtype) -> Net:
    """The weights of linear maps and convolutions in `dtype`, once. Under autocast, which would cast them again in each
    call, the output is the same to the bit; whatever autocast computes in float32 keeps its float32 weights."""
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.to(dtype)
    return net
