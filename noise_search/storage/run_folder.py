"""What the folder of a run holds, told by the names of its units and its small files: nothing heavy is imported."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from noise_search.errors import Refused
from noise_search.storage.atomic import write_text


def unit_paths(folder: Path) -> list[Path]:
    """The files of finished units, by their first id."""
    return sorted((folder / "units").glob("*.parquet"))


def span(path: Path) -> range:
    """The image ids of a unit's file, by its name."""
    if not (found := re.fullmatch(r"(\d+)-(\d+)", path.stem)):
        raise Refused(f"{path}: not the name of a unit, <first id>-<last id>; move it elsewhere")
    first, last = map(int, found.groups())
    return range(first, last + 1)


def finished_ids(folder: Path) -> set[int]:
    """The image ids that `folder` holds, by the names of its files."""
    return {i for path in unit_paths(folder) for i in span(path)}


def missing_ids(folder: Path, images: int) -> list[int]:
    """The image ids below `images` that `folder` lacks."""
    done = finished_ids(folder)
    return [i for i in range(images) if i not in done]


def runs(ids: Iterable[int]) -> list[range]:
    """[0, 1, 2, 5] -> [range(0, 3), range(5, 6)]."""
    out: list[range] = []
    for i in sorted(ids):
        if out and out[-1].stop == i:
            out[-1] = range(out[-1].start, i + 1)
        else:
            out.append(range(i, i + 1))
    return out


def words(spans: Iterable[range]) -> str:
    """[range(0, 3), range(5, 6)] -> "0-2, 5"."""
    return ", ".join(f"{r[0]}-{r[-1]}" if len(r) > 1 else str(r[0]) for r in spans)


def identity_of(folder: Path) -> dict[str, Any]:
    """What identity.json says that the folder's results were made with; empty where there is none."""
    return read_json(folder / "identity.json")


def write_config(folder: Path, config: Mapping[str, Any]) -> None:
    """config.yaml: all of a run's configuration, plain."""
    write_text(folder / "config.yaml", config_text(config))


def config_text(config: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True, width=120)


def read_config(folder: Path) -> dict[str, Any]:
    """What `write_config` wrote; no other YAML is read: it could have interpolations, which read the environment."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise Refused(f"{folder}: not the folder of a run (no config.yaml)")
    try:
        config = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not as this version writes it: {error}") from error
    if not isinstance(config, dict):
        raise Refused(f"{path} is not as this version writes it: it is not a mapping")
    return config


def finished_images(folder: Path) -> tuple[int, str] | None:
    """How many images the last finished run had, and its axis; None where it is not finished, or not any more."""
    try:
        record = read_json(folder / "run.json")
    except ValueError:  # it is made again
        return None
    images, axis = record.get("images"), record.get("axis")
    if not isinstance(images, int) or not isinstance(axis, str) or missing_ids(folder, images):
        return None
    return images, axis


def finished_record(folder: Path) -> dict[str, Any]:
    """run.json of a run that has finished, whether its units are still there or not."""
    record = read_json(folder / "run.json")
    if not record:
        raise Refused(f"{folder}: not a finished run (no run.json)")
    if lacking := [name for name in ("images", "axis", "choices", "metrics") if name not in record]:
        raise Refused(
            f"{folder / 'run.json'} is damaged (no {lacking[0]}); remove it, and the run's command makes it again"
        )
    return record


def is_complete(folder: Path, images: int, axis: str) -> bool:
    """Is the run in `folder` finished, with these images and this axis?"""
    return finished_images(folder) == (images, axis)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no file."""
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise Refused(f"{path} is damaged ({error}); remove it") from error
    if not isinstance(content, dict):
        raise Refused(f"{path} is damaged (not an object); remove it")
    return content


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        out |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return out


def note(folder: Path, images: int, sweep: Path) -> None:
    """Say in sweep/jobs that the run in `folder`, of so many images, belongs to this sweep."""
    write_text(sweep / "jobs" / folder.name, f"{folder.resolve()}\n{images}\n")


def noted(sweep: Path) -> dict[Path, str]:
    """The folders of the runs that belong to a sweep -> how many images each is to have."""
    jobs = [path.read_text().splitlines() for path in sorted((sweep / "jobs").glob("*")) if path.suffix != ".partial"]
    return {Path(folder): images for folder, images in jobs}
