"""Observers and further metrics, which a configuration lists by their names: their own configurations put in place."""

from typing import Any

from hydra import compose
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig, OmegaConf

from noise_search.errors import Refused
from noise_search.run.plan import columns_of
from noise_search.run.told import explain


def with_named_parts(cfg: DictConfig, choice: str) -> DictConfig:
    """cfg with the names in `observers` and `more_metrics` replaced; choice: the name of cfg.verifier."""
    observers, metrics = names_of(cfg, "observers", "verifiers"), names_of(cfg, "more_metrics", "metrics")
    if again := set(observers) & set(columns_of(cfg, choice)):
        raise Refused(f"observers={observers}: {', '.join(again)} scores every candidate already")
    out = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    assert isinstance(out, DictConfig)
    out.observers = configured("observers", observers, "verifier", "verifier={}")
    out.more_metrics = configured("more_metrics", metrics, "metric", "+metric={}")
    return out


def names_of(cfg: DictConfig, key: str, kind: str) -> list[str]:
    """The names that stand at `key`."""
    names = list(cfg[key]) if OmegaConf.is_list(cfg[key]) else None
    if names is None or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise Refused(f"{key}={cfg[key]}: a list of {kind}, each once")
    return names


def configured(key: str, names: list[str], group: str, override: str) -> dict[str, Any]:
    """name -> the configuration of that choice of a group; override: how Hydra is told to choose it."""
    try:
        nodes = {name: compose("config", [override.format(name)])[group] for name in names}
    except ConfigCompositionException as error:
        raise Refused(f"{key}={names}: {explain(error)}") from error
    return {name: OmegaConf.to_container(node, resolve=True) for name, node in nodes.items()}
