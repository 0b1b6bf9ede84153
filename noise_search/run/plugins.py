"""Other packages' parts: what an installed package with an entry point in the group `noise_search` adds.

    [project.entry-points.noise_search]
    my_parts = "my_package"

`my_package/configs/<group>/<name>.yaml` are then choices like ours; their `_target_` may name what is in my_package.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from noise_search.errors import Refused

GROUP = "noise_search"


def config_folder() -> Path:
    """Our own configs/: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


@dataclass(frozen=True)
class Plugin:
    """name: of the distribution; module: the package with the parts; configs: its folder of groups."""

    name: str
    version: str
    module: str
    configs: Path


@cache
def plugins() -> tuple[Plugin, ...]:
    """All that are installed; none of them is imported. Two packages that give one choice the same name are refused."""
    found = []
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.value):
        spec = find_spec(point.module)
        places = list(spec.submodule_search_locations or ()) if spec else []
        if point.dist is None or not places:
            raise Refused(f"plug-in {point.name} = {point.value}: there is no package {point.module}")
        found.append(Plugin(point.dist.name, point.dist.version, point.module, Path(places[0]) / "configs"))
    owners = dict.fromkeys(choices(config_folder()), "noise_search")
    for plugin in found:
        if (plugin.configs / "config.yaml").is_file():
            raise Refused(f"plug-in {plugin.name}: its configs/config.yaml would take the place of noise_search's")
        for choice in choices(plugin.configs):
            if choice in owners:
                raise Refused(f"plug-in {plugin.name}: {owners[choice]} has a {choice} already; rename one")
            owners[choice] = plugin.name
    return tuple(found)


def choices(configs: Path) -> list[str]:
    """["algorithm/zo", ...] of a folder of groups."""
    return [str(path.relative_to(configs).with_suffix("")) for path in sorted(configs.glob("*/**/*.yaml"))]


def owner(target: str) -> Plugin | None:
    """The plug-in whose package a dotted `_target_` lies in."""
    return next((plugin for plugin in plugins() if target.startswith(f"{plugin.module}.")), None)


def targets(node: Any) -> Iterator[str]:
    """Every `_target_` in a tree of plain mappings and lists."""
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for part in node.values():
            yield from targets(part)
    elif isinstance(node, list):
        for part in node:
            yield from targets(part)


def versions_of(node: Any) -> dict[str, str]:
    """The plug-ins that the parts in a tree come from, with their versions: they decide on results as settings do."""
    used = {plugin for target in targets(node) if (plugin := owner(target))}
    return {plugin.name: plugin.version for plugin in sorted(used, key=lambda plugin: plugin.name)}
