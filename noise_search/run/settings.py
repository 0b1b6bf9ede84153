"""The top-level settings of a run, checked before anything heavy starts, and which settings decide on results."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from noise_search.core.checks import finite, require, require_precision, whole
from noise_search.core.guidance import Guidance
from noise_search.errors import Refused

GROUPS = ("model", "dataset", "verifier", "algorithm", "draft", "budget", "metrics")
NO_DRAFT = "noise_search.drafts.none.NoDraft"
NAMED = ("observers", "more_metrics")  # parts that are listed by their names
GUIDANCE = ("channels", "interval")  # its keys
AXES = ("nfe", "nfe_paper", "seconds")
UNIT = 64  # image ids in one unit of finished work
SHOWN = 100  # images on the sheets and in the report: their pixels are always kept


@dataclass(frozen=True)
class Settings:
    """images >= 1; seed in [0, 2**63); cfg_scale >= 0 (1: no guidance); batch_size rows or "auto"; compile (with
    torch.compile) true, false or "auto"; precision of the parts that leave it to the run, or "auto"; device or "auto".

    keep_images: store every chosen image, not only those that the report shows. keep_bank: of how many images small
    pictures of the first candidates are stored, where the scores of all are; 0 to SHOWN. draw_figures: write figures/.
    rank, world: see `workers.py`.
    """

    images: int
    seed: int
    cfg_scale: float
    guidance: Guidance
    batch_size: int | str
    compile: bool | str
    precision: str
    device: str
    plan_only: bool
    axis: str
    keep_images: bool
    keep_bank: int
    draw_figures: bool
    rank: int | None
    world: int | None

    def __post_init__(self) -> None:
        def need(name: str, good: bool, allowed: str) -> None:
            require(name, getattr(self, name), good, allowed)

        need("images", whole(self.images) and self.images >= 1, "a whole number, at least 1")
        need("seed", whole(self.seed) and 0 <= self.seed < 2**63, "a whole number from 0 to 2**63 - 1")
        need("cfg_scale", finite(self.cfg_scale) and self.cfg_scale >= 0, "a number, at least 0 (1: no guidance)")
        rows = self.batch_size == "auto" or (whole(self.batch_size) and int(self.batch_size) >= 1)
        need("batch_size", rows, "auto or a whole number of rows, at least 1")
        need("compile", self.compile == "auto" or isinstance(self.compile, bool), "auto, true or false")
        require_precision("precision", self.precision)
        known = re.fullmatch(r"auto|cpu|cuda(:\d+)?", str(self.device)) is not None
        need("device", known, "auto, cpu, cuda or cuda:N")
        need("axis", self.axis in AXES, f"one of {', '.join(AXES)}")
        need("plan_only", isinstance(self.plan_only, bool), "true or false")
        need("draw_figures", isinstance(self.draw_figures, bool), "true or false")
        need("keep_images", isinstance(self.keep_images, bool), "true or false")
        bank = whole(self.keep_bank) and 0 <= self.keep_bank <= SHOWN
        need("keep_bank", bank, f"a whole number of images, from 0 (none) to {SHOWN}")
        if self.rank is not None or self.world is not None:
            rank, world = (number if whole(number) else -1 for number in (self.rank, self.world))
            need("world", world >= 1, "a whole number of workers, at least 1, given together with rank")
            need("rank", 0 <= rank < world, f"a whole number from 0 to {world - 1}, below world")


def read_settings(config: Mapping[str, Any]) -> Settings:
    """config: all of a run's configuration, plain. An unknown key is refused, at the top level and in the guidance."""
    fields = Settings.__dataclass_fields__
    refuse_unknown(config, "", (*fields, *NAMED, "logger", *GROUPS))
    for name in (*fields, *NAMED, "logger", *GROUPS):
        if name not in config:
            raise Refused(f"{name} is not given")
    for name in NAMED:
        if not isinstance(config[name], Mapping):
            raise Refused(f"{name}={config[name]}: configurations by their names")
    guidance = config["guidance"]
    if not isinstance(guidance, Mapping):
        raise Refused(f"guidance={guidance}: a group of channels and interval")
    refuse_unknown(guidance, "guidance.", GUIDANCE)
    values = {name: config[name] for name in fields}
    scale, channels = config["cfg_scale"], guidance.get("channels", "all")
    if not finite(scale):
        require("cfg_scale", scale, False, "a number, at least 0 (1: no guidance)")
    interval = guidance.get("interval", (0.0, 1.0))
    values["guidance"] = Guidance(scale, None if channels == "all" else channels, interval)
    return Settings(**values)


def refuse_unknown(node: Mapping[str, Any], prefix: str, known: tuple[str, ...]) -> None:
    if unknown := [str(name) for name in node if name not in known]:
        raise Refused(f"unknown option '{prefix}{unknown[0]}': there are {', '.join(known)}")


HOW = {  # settings of parts that change no result: where and how a scorer is reached that says who it is
    "noise_search.verifiers.http.Http": ("url", "key", "timeout", "tries", "timeouts"),
}


def without_how(node: Any) -> Any:
    """A node of the configuration, the parts in it without what stands in HOW."""
    if not isinstance(node, Mapping):
        return node
    left_out = HOW.get(str(node.get("_target_")), ())
    return {name: without_how(value) for name, value in node.items() if name not in left_out}


def result_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """Exactly what can change a result: the groups, observers, further metrics, seed and guidance; not `images`, nor
    how it is run."""
    for name in (*GROUPS, "observers", "guidance", "seed", "cfg_scale"):
        if name not in config:
            raise Refused(f"{name} is not given")
    chosen: dict[str, Any] = {name: config[name] for name in (*GROUPS, "observers", "guidance")}
    chosen |= {name: without_how(config[name]) for name in ("verifier", "observers")}
    if isinstance(config["model"], Mapping):
        chosen["model"] = {name: value for name, value in config["model"].items() if name != "rows_per_second"}
    if more := config.get("more_metrics"):  # without them a run is the one it was before there were any
        chosen["more_metrics"] = more
    if isinstance(config["draft"], Mapping) and config["draft"].get("_target_") == NO_DRAFT:  # likewise
        del chosen["draft"]
    scale = config["cfg_scale"]
    return chosen | {"seed": config["seed"], "cfg_scale": float(scale) if isinstance(scale, int) else scale}


def settings_digest(config: Mapping[str, Any]) -> str:
    """sha256 over the result settings, in hexadecimal. Ten digits of one are in the name of a run's folder; there
    observers and further metrics are known by their names alone."""
    return hashlib.sha256(json.dumps(result_settings(config), sort_keys=True).encode()).hexdigest()
