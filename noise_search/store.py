"""Files that a run reads and writes: weights with a card inside, atomic writes."""

import hashlib
import json
import os
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor


def save_weights(path: Path, state: dict[str, Tensor], card: dict, dtype: torch.dtype = torch.float16) -> None:
    """Write safetensors whose metadata holds `card` as JSON, by temporary name and rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    values = {k: v.detach().to("cpu", dtype).contiguous() for k, v in state.items()}
    save_file(values, temporary, metadata={"card": json.dumps(card)})
    os.replace(temporary, path)


def load_weights(path: Path) -> tuple[dict[str, Tensor], dict]:
    """float32 tensors and the card of a file that `save_weights` wrote."""
    with safe_open(path, framework="pt") as file:
        state = {k: file.get_tensor(k).float() for k in file.keys()}  # noqa: SIM118 (not a dict)
        return state, json.loads((file.metadata() or {}).get("card", "{}"))


def sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
