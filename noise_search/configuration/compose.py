"""The door: Hydra's configuration, read once into plain mappings. Behind it nobody knows Hydra or omegaconf."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.core.utils import JobRuntime
from hydra.errors import ConfigCompositionException
from hydra.version import VersionBase
from omegaconf import DictConfig, OmegaConf
from omegaconf.basecontainer import BaseContainer

from noise_search.configuration.search_path import register_plugins
from noise_search.configuration.told import explain
from noise_search.errors import Refused
from noise_search.run.description import columns_of
from noise_search.run.plugins import config_folder
from noise_search.run.settings import GROUPS, NAMED, settings_digest


def plain(cfg: DictConfig) -> dict[str, Any]:
    """cfg without Hydra's own part, every interpolation resolved; a key without a value (???) is refused."""
    return {str(name): whole(cfg, str(name)) for name in cfg if name != "hydra"}


def whole(cfg: DictConfig, name: str) -> Any:
    value = cfg[name]
    return OmegaConf.to_container(value, resolve=True, throw_on_missing=True) if OmegaConf.is_config(value) else value


def read(cfg: DictConfig, choices: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """(config, choices) as `run.description.describe` takes them. Observers and further metrics, which a configuration
    lists by their names, have their own configurations in place of these. choices: Hydra's, of all groups."""
    config, chosen = plain(cfg), {name: str(choices[name]) for name in GROUPS}
    names = {
        key: names_of(config, key, kind) for key, kind in (("observers", "verifiers"), ("more_metrics", "metrics"))
    }
    if again := set(names["observers"]) & set(columns_of(config | {"observers": {}}, chosen["verifier"])):
        raise Refused(f"observers={names['observers']}: {', '.join(again)} scores every candidate already")
    config["observers"] = configured("observers", names["observers"], "verifier", "verifier={}")
    config["more_metrics"] = configured("more_metrics", names["more_metrics"], "metric", "+metric={}")
    return config, chosen


def names_of(config: Mapping[str, Any], key: str, kind: str) -> list[str]:
    """The names that stand at `key`."""
    names = config.get(key)
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise Refused(f"{key}={names}: a list of {kind}, each once")
    return names


def configured(key: str, names: Sequence[str], group: str, override: str) -> dict[str, Any]:
    """name -> the configuration of that choice of a group; override: how Hydra is told to choose it."""
    shown = names[0] if key == group else list(names)
    for name in names:
        if not re.fullmatch(r"[A-Za-z_]\w*", name) or name in ("null", "true", "false"):
            raise Refused(f"{key}={shown}: {name!r} is no name of a {group}")
    try:
        return {name: whole(compose("config", [override.format(name)]), group) for name in names}
    except ConfigCompositionException as error:
        raise Refused(f"{key}={shown}: {explain(error)}") from error


def verifier_named(name: str) -> dict[str, Any]:
    """The configuration of `verifier=name`."""
    return configured("verifier", [name], "verifier", "verifier={}")[name]  # type: ignore[no-any-return]


def refuse_values_for_groups(overrides: Sequence[str]) -> None:
    """`budget=1000` would select a file named 1000, `verifier=null` none, `observers.x=1` is no place: say what was
    meant."""
    for override in overrides:
        if listed := re.match(rf"[+~]*({'|'.join(NAMED)})\.", override):
            raise Refused(f"{override}: {listed.group(1)} is a list of names")
        found = re.fullmatch(rf"({'|'.join((*GROUPS, 'logger'))})=(null|true|false|[^A-Za-z].*|)", override)
        if found and found.group(1) == "budget" and (totals := re.fullmatch(r"\[?(\d[\d_, ]*)\]?", found.group(2))):
            raise Refused(f"{override}: budget is a group; totals go in budget.nfe=[{totals.group(1)}]")
        if found:
            names = ", ".join(path.stem for path in sorted((config_folder() / found.group(1)).glob("*.yaml")))
            raise Refused(f"{override}: {found.group(1)} is a group: {names}")


def composed(overrides: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """(config, choices) of `python run.py` with these overrides; within `own_hydra`, or any other that is ours."""
    refuse_values_for_groups(overrides)
    cfg = compose("config", list(overrides), return_hydra_config=True)
    return read(cfg, cfg.hydra.runtime.choices)


def group_options(group: str) -> list[str]:
    """The names of a group's choices, the plug-ins' too; where `composed` may be called."""
    return list(GlobalHydra.instance().config_loader().get_group_options(group))


def result_hash(*, _root_: DictConfig) -> str:
    """Ten digits of what decides on results: the resolver in the name of a run's folder."""
    return settings_digest(plain(_root_))[:10]


@contextmanager
def own_hydra() -> Iterator[None]:
    """Hydra over our groups. What a caller's own Hydra has set for the process is put back as it was."""
    register_plugins()
    kinds: tuple[type, ...] = (GlobalHydra, VersionBase, JobRuntime)
    instances: dict[type, Any] = Singleton._instances
    before = {kind: instances.pop(kind) for kind in kinds if kind in instances}
    resolvers = dict(BaseContainer._resolvers)
    try:
        with initialize_config_dir(str(config_folder()), job_name="noise_search", version_base="1.3"):
            yield
    finally:
        for kind in kinds:
            instances.pop(kind, None)
        instances.update(before)
        BaseContainer._resolvers = resolvers
