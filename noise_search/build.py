"""From configuration to objects: only of targets in this package, each given what it asks for by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf


def build(node: DictConfig | Mapping[str, Any], **context: Any) -> Any:
    """The object that node._target_ names; nodes inside it are built first.

    context: what a run can offer (device, judge, dataset, ...); a target gets what its signature names.
    """
    values: Any = node
    if isinstance(node, DictConfig):
        values = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    target = str(values.get("_target_", ""))
    if not target.startswith("noise_search."):
        raise ValueError(f"_target_={target!r}: only noise_search.* can be built from a configuration")
    factory = get_object(target)
    known = inspect.signature(factory).parameters
    given = {name: value for name, value in context.items() if name in known}
    return factory(**given, **{name: inside(v, context) for name, v in values.items() if name != "_target_"})


def inside(value: Any, context: Mapping[str, Any]) -> Any:
    """A value of a node, with the objects that it asks for in place."""
    if not isinstance(value, dict):
        return value
    if "_target_" in value:
        return build(value, **context)
    return {name: inside(part, context) for name, part in value.items()}
