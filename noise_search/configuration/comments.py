"""What the configuration says of itself: each choice's header, and each key's comment, read from the YAML files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml

from noise_search.run.plugins import config_folder, plugins

UNTOLD = ("_target_", "defaults", "hydra")  # what is no setting of a part


class Key(NamedTuple):
    """value: as it stands in the file; comment: behind it; note: the lines of comment above it."""

    value: str
    comment: str
    note: str

    @property
    def told(self) -> str:
        return self.comment or self.note


@dataclass(frozen=True)
class Choice:
    """One YAML. keys: dotted path from the top of a run's configuration -> Key; value "" where there are keys below it.

    bases: choices of its own group that it begins with; mounts: (place, choice of its group that stands there);
    lines: group -> comment beside it in the defaults list.
    """

    group: str
    name: str
    header: str
    everywhere: bool  # `@package _global_`: it may set keys of other groups
    bases: tuple[str, ...] = ()
    mounts: tuple[tuple[str, str], ...] = ()
    brings: dict[str, str] = field(default_factory=dict)  # other group -> its choice
    lines: dict[str, str] = field(default_factory=dict)
    keys: dict[str, Key] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """The header's first sentence, on one line."""
        return re.split(r"(?<=\.)\s", self.header.replace("\n", " "), maxsplit=1)[0].rstrip(".")


def folders() -> list[Path]:
    """Our own configs/, then those of the plug-ins."""
    return [config_folder(), *(plugin.configs for plugin in plugins())]


def names(group: str) -> list[str]:
    """The choices of a group, the plug-ins' too; those in folders below with their folder."""
    found = [(folder, path) for folder in folders() for path in (folder / group).rglob("*.yaml")]
    return sorted(str(path.relative_to(folder / group).with_suffix("")) for folder, path in found)


@cache
def choice(group: str, name: str) -> Choice:
    """group "": the configuration itself, whose name is config."""
    path = next(path for folder in folders() if (path := folder / group / f"{name}.yaml").is_file())
    text = path.read_text()
    lines = text.splitlines()
    everywhere = lines[0] == "# @package _global_"
    header = header_of(lines[everywhere:])
    top = "" if everywhere or group in ("", "train") else group.replace("/", ".")
    node = yaml.compose(text, yaml.SafeLoader)
    made = Choice(group, name, "\n".join(line.removeprefix("#").strip() for line in header), everywhere)
    if isinstance(node, yaml.MappingNode):
        made.keys.update(keys_of(node, top, text, everywhere + len(header)))
        entries = next((value for key, value in node.value if key.value == "defaults"), None)
        if entries is not None:
            made = with_defaults(made, entries, lines)
    return made


def header_of(lines: Sequence[str]) -> list[str]:
    end = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return list(lines[:end])


def keys_of(node: yaml.MappingNode, above: str, text: str, first: int) -> Iterator[tuple[str, Key]]:
    """first: the line below the header, whose comments belong to no key."""
    lines = text.splitlines()
    for key, value in node.value:
        if key.value in UNTOLD:
            continue
        path = f"{above}.{key.value}" if above else key.value
        nested = isinstance(value, yaml.MappingNode) and not value.flow_style
        mark = key.end_mark if nested else value.end_mark
        note: list[str] = []
        for line in reversed(lines[first : key.start_mark.line]):
            if not line.strip().startswith("#"):
                break
            note.insert(0, line.strip().lstrip("# "))
        shown = "" if nested else text[value.start_mark.index : value.end_mark.index].strip()
        yield path, Key(shown, behind(lines, mark), " ".join(note))
        if nested:
            yield from keys_of(value, path, text, first)


def behind(lines: Sequence[str], mark: yaml.Mark) -> str:
    """The comment behind what ends at a mark."""
    found = re.match(r"\s*:?\s*#\s*(.*)", lines[mark.line][mark.column :]) if mark.line < len(lines) else None
    return found.group(1).strip() if found else ""


def with_defaults(made: Choice, entries: yaml.SequenceNode, lines: Sequence[str]) -> Choice:
    """The choice with what its defaults list says."""
    bases, mounts = [], []
    for entry in entries.value:
        if isinstance(entry, yaml.MappingNode):
            key, value = entry.value[0]
            group = key.value.removeprefix("override ").lstrip("/")
            made.brings[group] = value.value
            made.lines[group] = behind(lines, value.end_mark)
        elif "@" in entry.value:
            name, place = entry.value.split("@")
            mounts.append((f"{made.group}.{place}", name))
        elif entry.value != "_self_":
            bases.append(entry.value)
    return replace(made, bases=tuple(bases), mounts=tuple(mounts))


def told(of: Choice, path: str) -> str:
    """What is said of a key, "" where nothing is: in the file, of what it lies in, in what the file begins with; of a
    key of another group, in the first choice of that group that says it."""
    places = [path[:end] for end in range(len(path), 0, -1) if end == len(path) or path[end] == "."]
    for place in places:
        if place in of.keys and of.keys[place].told:
            return of.keys[place].told
    for place, name in of.mounts:
        if path.startswith(f"{place}."):
            return told(choice(of.group, name), of.group + path.removeprefix(place))
    for base in of.bases:
        if base in names(of.group) and (found := told(choice(of.group, base), path)):
            return found
    return told_elsewhere(of, path) if of.everywhere else ""


def told_elsewhere(of: Choice, path: str) -> str:
    group = path.split(".")[0]
    if group not in choice("", "config").brings:
        return told(choice("", "config"), path)
    others = [choice(group, name) for name in names(group) if (group, name) != (of.group, of.name)]
    return next((found for other in others if not other.everywhere and (found := told(other, path))), "")
