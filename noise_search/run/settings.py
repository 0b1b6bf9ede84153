"""The top-level settings of a run, checked before anything heavy starts, and the name of its folder."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf

from noise_search.core.checks import whole
from noise_search.core.guidance import Guidance
from noise_search.errors import Refused

GROUPS = ("model", "dataset", "verifier", "algorithm", "budget", "metrics")
GUIDANCE = ("channels", "interval")  # its keys
MODEL = ("solver", "spacing", "multiply_adds", "rows_per_second", "build")
AXES = ("nfe", "nfe_paper")
SWEEP = "NOISE_SEARCH_SWEEP"  # environment variable: the sweep that a job belongs to
UNIT = 64  # image ids in one unit of finished work
SHOWN = 100  # images on the sheets and in the report: their pixels are always kept


@dataclass(frozen=True)
class Settings:
    """images >= 1; seed in [0, 2**63); cfg_scale >= 0 (1: no guidance); batch_size rows or "auto"; device or "auto".

    keep_images: store every chosen image, not only those that the report shows. rank, world: see `workers.py`.
    """

    images: int
    seed: int
    cfg_scale: float
    guidance: Guidance
    batch_size: int | str
    device: str
    plan_only: bool
    axis: str
    keep_images: bool
    rank: int | None
    world: int | None

    def __post_init__(self) -> None:
        def require(name: str, good: bool, allowed: str) -> None:
            if not good:
                raise Refused(f"{name}={getattr(self, name)}: {allowed}")

        require("images", whole(self.images) and self.images >= 1, "a whole number, at least 1")
        require("seed", whole(self.seed) and 0 <= self.seed < 2**63, "a whole number from 0 to 2**63 - 1")
        number = isinstance(self.cfg_scale, int | float) and not isinstance(self.cfg_scale, bool)
        require("cfg_scale", number and 0 <= self.cfg_scale < float("inf"), "a number, at least 0 (1: no guidance)")
        rows = self.batch_size == "auto" or (whole(self.batch_size) and int(self.batch_size) >= 1)
        require("batch_size", rows, "auto or a whole number of rows, at least 1")
        known = re.fullmatch(r"auto|cpu|cuda(:\d+)?", str(self.device)) is not None
        require("device", known, "auto, cpu, cuda or cuda:N")
        require("axis", self.axis in AXES, " or ".join(AXES))
        require("plan_only", isinstance(self.plan_only, bool), "true or false")
        require("keep_images", isinstance(self.keep_images, bool), "true or false")
        if self.rank is not None or self.world is not None:
            rank, world = (number if whole(number) else -1 for number in (self.rank, self.world))
            require("world", world >= 1, "a whole number of workers, at least 1, given together with rank")
            require("rank", 0 <= rank < world, f"a whole number from 0 to {world - 1}, below world")


def read_settings(cfg: DictConfig) -> Settings:
    """An unknown key is refused, at the top level, in the guidance and beside the model's own."""
    known = {
        "": (*Settings.__dataclass_fields__, "observers", "more_metrics", "hydra", "logger", *GROUPS),
        "guidance.": GUIDANCE,
        "model.": MODEL,
    }
    for prefix, names in known.items():
        node = cfg[prefix[:-1]] if prefix else cfg
        unknown = [str(name) for name in node if name not in names] if OmegaConf.is_dict(node) else []
        if unknown:
            raise Refused(f"unknown option '{prefix}{unknown[0]}': there are {', '.join(names)}")
    if not OmegaConf.is_dict(cfg.guidance):
        raise Refused(f"guidance={cfg.guidance}: a group of channels and interval")
    values = {name: cfg[name] for name in Settings.__dataclass_fields__}
    channels, interval = cfg.guidance.channels, cfg.guidance.interval
    values["guidance"] = Guidance(cfg.cfg_scale, None if channels == "all" else channels, interval)
    return Settings(**values)


def result_settings(cfg: DictConfig) -> dict[str, Any]:
    """Exactly what can change a result: the groups, observers, further metrics, seed and guidance; not `images`, nor
    how it is run."""
    chosen: dict[str, Any] = {name: OmegaConf.to_container(cfg[name], resolve=True) for name in GROUPS}
    chosen["model"].pop("rows_per_second")
    for name in ("observers", "guidance"):  # `read_settings` refuses what is no list, no group
        chosen[name] = OmegaConf.to_container(cfg[name]) if OmegaConf.is_config(cfg[name]) else cfg[name]
    if more := cfg.get("more_metrics"):  # without them a run is the one it was before there were any
        chosen["more_metrics"] = OmegaConf.to_container(more) if OmegaConf.is_config(more) else more
    scale = float(cfg.cfg_scale) if isinstance(cfg.cfg_scale, int) else cfg.cfg_scale
    return chosen | {"seed": cfg.seed, "cfg_scale": scale}


def settings_digest(cfg: DictConfig) -> str:
    """sha256 over the result settings, in hexadecimal."""
    return hashlib.sha256(json.dumps(result_settings(cfg), sort_keys=True).encode()).hexdigest()


def result_hash(*, _root_: DictConfig) -> str:
    """Ten of its digits: the resolver in the name of a run's folder."""
    return settings_digest(_root_)[:10]


def sweep_name(arguments: Sequence[str] | None = None) -> str:
    """ "sweep-" and ten hexadecimal digits over the overrides of a multirun, the same in every job of it.

    arguments: of the command that started it, which hands the name down to its jobs in the environment.
    """
    if arguments is not None:
        text = json.dumps(sorted(a for a in arguments if not a.startswith("-")))
        os.environ[SWEEP] = f"sweep-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    return os.environ[SWEEP]
