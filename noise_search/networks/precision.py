"""The types that networks compute in."""

import time
from functools import cache
from typing import TypeVar

import torch
from torch import nn

from noise_search.core.checks import require_precision

Net = TypeVar("Net", bound=nn.Module)


def dtype_of(precision: str) -> torch.dtype:
    """The torch type that a `precision` setting names. "auto", of a part that no run has settled: as one would here."""
    require_precision("precision", precision)
    precision = settled_precision(precision, "cuda" if torch.cuda.is_available() else "cpu")
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]


def settled_precision(precision: str, device: str) -> str:
    """ "float32" or "bfloat16": what "auto" is on a device, where no run has settled it."""
    return fast_precision(device) if precision == "auto" else precision


@cache
def fast_precision(device: str) -> str:
    """ "bfloat16" where products of it are clearly faster than those of float32, else "float32". Processors without
    instructions for it are up to forty times slower in it; measured once a process, in hundredths of a second."""
    if torch.device(device).type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    seconds = {}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        x, tries = torch.ones(256, 256, dtype=dtype, device=device), []
        for _ in range(4):
            started = time.perf_counter()
            (x @ x)[0, 0].item()
            tries.append(time.perf_counter() - started)
        seconds[name] = min(tries)
    return "bfloat16" if seconds["bfloat16"] < 0.8 * seconds["float32"] else "float32"


def cast_weights(net: Net, dtype: torch.dtype) -> Net:
    """The weights of linear maps and convolutions in `dtype`, once. Under autocast, which would cast them again in each
    call, the output is the same to the bit; whatever autocast computes in float32 keeps its float32 weights."""
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            module.to(dtype)
    return net
