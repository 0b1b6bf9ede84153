"""The manual's page of every group, choice and key, from the comments of the YAML files."""

from __future__ import annotations

import html
import re

from noise_search.configuration.comments import Choice, choice, names, told
from scripts.manual.docstrings import escaped

OTHER_GROUPS = {
    "metric": "further metrics of the chosen images: more_metrics=[NAME]",
    "hydra/launcher": "what runs the jobs of a sweep: python run.py -m hydra/launcher=NAME",
    "train": "settings of the scripts that made the embedded networks: python scripts/train_sit.py KEY=VALUE",
}


def configuration_page() -> str:
    config = choice("", "config")
    groups = {group: says for group, says in config.lines.items() if not group.startswith("hydra/")} | OTHER_GROUPS
    out = [
        "# Configuration",
        "Read from the comments in `configs/`. `GROUP=CHOICE` selects, `KEY=VALUE` sets; `python run.py --help"
        " GROUP=CHOICE` says the same in a terminal.",
        "## The run",
        keys_of(config),
    ]
    for group, says in groups.items():
        usual = config.brings.get(group, "null")
        default = "" if usual == "null" else f" Without a choice: `{usual}`."
        out.append(f"## {group}\n\n{escaped(says[0].upper() + says[1:])}.{default}\n")
        out += [of_choice(choice(group, name)) for name in names(group)]
    return "\n\n".join(out)


def of_choice(of: Choice) -> str:
    """A choice under a heading: its header, what it begins with and brings, the keys that stand in its file."""
    place = f"{of.group}-{of.name}".replace("/", "-")
    header = "  \n".join(escaped(line) for line in of.header.splitlines())
    said = []
    if of.bases:
        said.append(f"Begins as `{'`, `'.join(f'{of.group}={base}' for base in of.bases)}`.")
    said += [f"`{where}` is `{of.group}={name}`." for where, name in of.mounts]
    if brings := [f"{group}={name}" for group, name in of.brings.items() if not group.startswith("hydra")]:
        said.append(f"Brings `{'`, `'.join(brings)}`.")
    return f"### {of.group}={of.name} {{ #{place} }}\n\n{header}\n\n{' '.join(said)}\n\n{keys_of(of)}"


def keys_of(of: Choice) -> str:
    """A definition list: each key with its value as it stands in the file, then what is said of it."""
    rows = [
        f"<dt>{html.escape(f'{path}={key.value}', quote=False)}</dt><dd>{words(of, path)}</dd>"
        for path, key in of.keys.items()
        if key.value
    ]
    return f'<dl class="keys">{"".join(rows)}</dl>\n' if rows else ""


def words(of: Choice, path: str) -> str:
    """Of a key: the comment beside it, and in parentheses the one above it."""
    key = of.keys[path]
    said = f"{key.comment} ({key.note})" if key.comment and key.note else told(of, path)
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", html.escape(said, quote=False))
