"""A run again, from its folder: its configuration and the names of its groups, for the device of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from noise_search.core.time_budget import TimeBudget
from noise_search.errors import Refused
from noise_search.run.by_time import points_of, settled
from noise_search.run.description import Description, describe
from noise_search.run.plugins import plugins
from noise_search.run.settings import GROUPS, NO_DRAFT
from noise_search.storage.run_folder import identity_of, read_config


class Saved(NamedTuple):
    """config, choices: as of `Description`."""

    config: dict[str, Any]
    choices: dict[str, str]


def saved(folder: Path) -> Saved:
    """What config.yaml and identity.json of a run's folder say. A plug-in that it was made with must be installed."""
    config, identity = read_config(folder), identity_of(folder)
    choices = identity.get("choices")
    if isinstance(choices, dict):
        choices = {"draft": "none"} | choices  # of a run that was made before there were any
    if not isinstance(choices, dict) or set(GROUPS) - set(choices):
        raise Refused(f"{folder / 'identity.json'} is not as this version writes it: it names no choices of the groups")
    known, used = {plugin.name: plugin.version for plugin in plugins()}, identity.get("plugins")
    if not isinstance(used, dict):
        raise Refused(f"{folder / 'identity.json'} is not as this version writes it: it names no plug-ins")
    for name, version in used.items():
        if known.get(name) != version:
            here = f"here is {known[name]}" if name in known else "which is not installed here"
            raise Refused(f"{folder} was made with the plug-in {name} {version}; {here}")
    if not isinstance(tuning := identity.get("tuning"), dict):
        raise Refused(f"{folder / 'identity.json'} is not as this version writes it: it names no tuning")
    before = {"keep_bank": 0, "draw_figures": True, "draft": {"_target_": NO_DRAFT}}  # likewise
    return Saved(before | config | {"device": "auto", "rank": 0, "world": 1} | tuning, choices)


def reopen(folder: Path, axis: str | None = None) -> Description:
    """The description of the run in `folder`, with another axis if one is given; weights need not be there."""
    config, choices = saved(folder)
    if axis is not None:
        config["axis"] = axis
    try:
        run = describe(config, choices, made=True)
        return settled(run, points_of(folder)) if isinstance(run.budget, TimeBudget) else run
    except Refused as error:
        raise Refused(f"{folder / 'config.yaml'} cannot be read: {error}") from error
