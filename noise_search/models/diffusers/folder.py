"""A folder in diffusers' layout: is all of it there?"""

import json
from pathlib import Path
from typing import Any

from noise_search.errors import Refused

INDEX = "model_index.json"
NEEDED = {  # a part, by how its name begins -> files of which one set must be there: libraries go on without
    "tokenizer": (
        {"tokenizer.json"},
        {"spiece.model"},
        {"tokenizer.model"},
        {"vocab.txt"},
        {"vocab.json", "merges.txt"},
    ),
    "scheduler": ({"scheduler_config.json"},),
    "feature_extractor": (set[str](),),
}


def read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise Refused(f"{path}: not the JSON that it should be ({error}); remove it, and fetch it again") from error


def lacking(folder: Path, without: str = "") -> str | None:
    """What is missing first, in words; None: nothing. Weights are looked for as safetensors only. without: a part that
    is taken from elsewhere."""
    index = folder / INDEX
    if not index.is_file():
        return f"there is no {INDEX} there"
    for name, kind in read_json(index).items():
        if not isinstance(kind, list) or kind[0] is None:
            continue  # a setting, or a part that this pipeline goes without
        if name != without and (lacks := lacking_part(folder / name)):
            return lacks
    return None


def lacking_part(part: Path) -> str | None:
    """As `lacking`, of one part."""
    if not part.is_dir():
        return f"{part.name}/ is missing"
    for beginning, sets in NEEDED.items():
        if part.name.startswith(beginning):
            there = {path.name for path in part.iterdir()}
            words = " or ".join(" with ".join(sorted(files)) for files in sets)
            return None if any(files <= there for files in sets) else f"{part.name}/ lacks {words}"
    lacks = lacking_weights(part) if (part / "config.json").is_file() else "config.json"
    return f"{part.name}/{lacks} is missing" if lacks else None


def lacking_weights(part: Path) -> str | None:
    """The first file of weights that a network's folder lacks."""
    listings = [path for path in part.glob("*.safetensors.index.json") if "fp16" not in path.name]
    files = [name for path in listings for name in read_json(path)["weight_map"].values()]
    if files:
        return next((name for name in sorted(set(files)) if not (part / name).is_file()), None)
    return None if list(part.glob("*.safetensors")) else "*.safetensors"
