"""From configuration to objects: of targets in this package and its plug-ins. Nothing heavy is loaded: a part is made
from its settings alone, and has a `load` of its own."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any

from noise_search.core.checks import allowed
from noise_search.errors import BadSetting, Refused
from noise_search.run.plugins import owner

PLACES = (
    "algorithms.",
    "core.budget",
    "core.schedule",
    "core.time_budget",
    "datasets.",
    "drafts.",
    "report.loggers",
    "metrics.",
    "models.",
    "verifiers.",
)  # of what may be built


def build(node: Any, key: str, kind: type | None = None, **context: Any) -> Any:
    """The object that node["_target_"] names; nodes inside it are built first.

    key: of the node, which every message begins with. kind: what it must be. context: what a run can offer (seed,
    sweep); a target gets what its signature names.
    """
    if not isinstance(node, Mapping) or "_target_" not in node:
        raise Refused(f"{key}={node}: a group with a _target_ was expected")
    factory = target_of(node, key)
    known = inspect.signature(factory).parameters
    given = {name: value for name, value in context.items() if name in known}
    options = {name: value for name, value in node.items() if name != "_target_"}
    for name, value in options.items():
        if name not in known:
            there = ", ".join(f"{key}.{k}" for k in known) or f"no options of {node['_target_']}"
            raise Refused(f"unknown option '{key}.{name}': there are {there}")
        options[name] = inside(value, f"{key}.{name}", context)
        if words := allowed(known[name].annotation, options[name]):
            raise BadSetting(f"{key}.{name}", value, words)
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in {*options, *given}:
            raise Refused(f"{key}.{name} is not given: {node['_target_']} needs it")
    try:
        made = factory(**given, **options)
    except BadSetting as error:
        raise BadSetting(f"{key}.{error.name}", error.value, error.allowed) from error
    if kind is not None and not isinstance(made, kind):
        raise Refused(f"{key}._target_={node['_target_']}: a {kind.__name__} is needed here")
    return made


def target_of(node: Mapping[str, Any], key: str) -> Callable[..., Any]:
    """What node["_target_"] names; its module is imported."""
    target = node["_target_"]
    named = isinstance(target, str) and (target.startswith("noise_search.") or owner(target) is not None)
    try:
        factory: Any = resolved(target) if named else None
    except (ImportError, AttributeError, ValueError) as error:
        raise Refused(f"{key}._target_={target!r}: there is no such part ({error})") from error
    home = str(getattr(factory, "__module__", ""))  # a module's imports are reachable too: os.system is not ours
    ours = home.startswith(tuple(f"noise_search.{place}" for place in PLACES))
    part = callable(factory) and not inspect.isabstract(factory) and not getattr(factory, "_is_protocol", False)
    if not part or not (ours or owner(f"{home}.")):
        raise Refused(f"{key}._target_={target!r}: only parts of noise_search and of its plug-ins can be built")
    return factory


def resolved(target: str) -> Any:
    """What a dotted name stands for. `pkgutil` keeps to itself why a module cannot be imported: that is raised here."""
    try:
        return pkgutil.resolve_name(target)
    except AttributeError:
        importlib.import_module(target.rpartition(".")[0])
        raise


def inside(value: Any, key: str, context: Mapping[str, Any]) -> Any:
    """A value of a node, with the objects that it asks for in place."""
    if isinstance(value, Mapping) and "_target_" in value:
        return build(value, key, **context)
    if isinstance(value, Mapping):
        return {name: inside(part, f"{key}.{name}", context) for name, part in value.items()}
    return value
