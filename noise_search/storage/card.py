"""What a file of weights says of itself, read without torch."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from noise_search.errors import MissingFile, Refused


def read_card(path: Path) -> dict[str, Any]:
    """The card that `weights.save_weights` put inside."""
    if not path.is_file():
        raise MissingFile(f"{path}: there is no such file of weights")
    try:
        with safe_open(path, framework="np") as file:
            card: dict[str, Any] = json.loads(file.metadata()["card"])
            return card
    except (SafetensorError, TypeError, KeyError, ValueError) as error:
        raise Refused(f"{path}: not weights of this project, which have a card inside ({error})") from error
