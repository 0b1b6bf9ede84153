"""The types that networks compute in."""

import torch

from noise_search.core.checks import require_precision


def dtype_of(precision: str) -> torch.dtype:
    """The torch type that a `precision` setting names."""
    require_precision("precision", precision)
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
