"""From configuration to objects. The only call of Hydra's instantiate, and only of targets in this package."""

from __future__ import annotations

from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig


def build(node: DictConfig, **extra: Any) -> Any:
    """The object that node._target_ names; an error in its values comes back as the error itself."""
    target = str(node.get("_target_", ""))
    if not target.startswith("noise_search."):
        raise ValueError(f"_target_={target!r}: only noise_search.* can be built from a configuration")
    try:
        return instantiate(node, **extra, _convert_="all")
    except InstantiationException as error:
        if isinstance(error.__cause__, ValueError | FileNotFoundError | TypeError):
            raise error.__cause__ from None
        raise
