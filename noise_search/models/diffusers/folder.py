"""A folder in diffusers' layout: is all of it there?"""

import json
from pathlib import Path

INDEX = "model_index.json"


def lacking(folder: Path, without: str = "") -> str | None:
    """What is missing first, in words; None: nothing. Weights are looked for as safetensors only. without: a part that
    is taken from elsewhere."""
    index = folder / INDEX
    if not index.is_file():
        return f"there is no {INDEX} there"
    parts = json.loads(index.read_text("utf-8"))
    for name, kind in parts.items():
        if not isinstance(kind, list) or kind[0] is None:
            continue  # a setting, or a part that this pipeline goes without
        if name != without and (lacks := lacking_part(folder / name)):
            return lacks
    return None


def lacking_part(part: Path) -> str | None:
    """As `lacking`, of one part."""
    if not part.is_dir():
        return f"{part.name}/ is missing"
    if part.name.startswith(("tokenizer", "scheduler", "feature_extractor")):
        return None
    lacks = lacking_weights(part) if (part / "config.json").is_file() else "config.json"
    return f"{part.name}/{lacks} is missing" if lacks else None


def lacking_weights(part: Path) -> str | None:
    """The first file of weights that a network's folder lacks."""
    listings = [path for path in part.glob("*.safetensors.index.json") if "fp16" not in path.name]
    files = [name for path in listings for name in json.loads(path.read_text("utf-8"))["weight_map"].values()]
    if files:
        return next((name for name in sorted(set(files)) if not (part / name).is_file()), None)
    return None if list(part.glob("*.safetensors")) else "*.safetensors"
