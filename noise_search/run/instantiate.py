"""From configuration to objects: of targets in this package and its plug-ins, each given what it asks for by name."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from noise_search.errors import Refused
from noise_search.run.plugins import owner

PLACES = (
    "algorithms.",
    "core.budget",
    "datasets.",
    "report.loggers",
    "metrics.",
    "models.",
    "verifiers.",
)  # of what may be built


def build(node: DictConfig | Mapping[str, Any], **context: Any) -> Any:
    """The object that node._target_ names; nodes inside it are built first.

    context: what a run can offer (device, judge, dataset, ...); a target gets what its signature names.
    """
    values: Any = node
    if isinstance(node, DictConfig):
        values = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    factory = target_of(values)
    known = inspect.signature(factory).parameters
    given = {name: value for name, value in context.items() if name in known}
    return factory(**given, **{name: inside(v, context) for name, v in values.items() if name != "_target_"})


def target_of(node: Mapping[str, Any]) -> Any:
    """What node._target_ names; its module is imported."""
    target = str(node.get("_target_", ""))
    try:
        factory: Any = pkgutil.resolve_name(target) if target.startswith("noise_search.") or owner(target) else None
    except (ImportError, AttributeError, ValueError) as error:
        raise Refused(f"_target_={target!r}: there is no such part ({error})") from error
    home = str(getattr(factory, "__module__", ""))  # a module's imports are reachable too: os.system is not ours
    ours = home.startswith(tuple(f"noise_search.{place}" for place in PLACES))
    if not callable(factory) or not (ours or owner(f"{home}.")):
        raise Refused(f"_target_={target!r}: only parts of noise_search and of its plug-ins can be built")
    return factory


def refuse_unknown(node: Any, key: str) -> None:
    """A key that no target within a configuration takes is refused by its full name, before anything is built."""
    if not isinstance(node, Mapping | DictConfig):
        return
    known = inspect.signature(target_of(node)).parameters if "_target_" in node else None
    for name, part in node.items():
        if known is not None and name != "_target_" and name not in known:
            there = ", ".join(f"{key}.{k}" for k in known) or f"no options of {node['_target_']}"
            raise Refused(f"unknown option '{key}.{name}': there are {there}")
        refuse_unknown(part, f"{key}.{name}")


def inside(value: Any, context: Mapping[str, Any]) -> Any:
    """A value of a node, with the objects that it asks for in place."""
    if not isinstance(value, dict):
        return value
    if "_target_" in value:
        return build(value, **context)
    return {name: inside(part, context) for name, part in value.items()}
