"""Files of weights: safetensors with a card inside."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from noise_search.errors import MissingFile, Refused
from noise_search.storage.atomic import replacing


def told(error: BaseException) -> str:
    """What a library says of a file, on one line: its first 200 characters."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def save_weights(path: Path, state: dict[str, Tensor], card: dict, dtype: torch.dtype = torch.float16) -> None:
    """Write safetensors whose metadata holds `card` as JSON, whole or not at all."""
    values = {k: v.detach().to("cpu", dtype).contiguous() for k, v in state.items()}
    with replacing(path) as temporary:
        save_file(values, temporary, metadata={"card": json.dumps(card)})


def load_weights(path: Path, expected: str) -> tuple[dict[str, Tensor], dict]:
    """float32 tensors and the card of a file that `save_weights` wrote; `expected` is a tensor that it must hold."""
    if not path.is_file():
        raise MissingFile(f"{path}: there is no such file of weights")
    try:
        with safe_open(path, framework="pt") as file:
            if expected not in file.keys():  # noqa: SIM118 (not a dict)
                raise KeyError(f"it has no tensor {expected!r}")
            state = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118
            return state, json.loads(file.metadata()["card"])
    except (SafetensorError, TypeError, KeyError) as error:
        raise Refused(f"{path}: not the weights that were expected ({error})") from error
