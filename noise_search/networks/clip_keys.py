"""A CLIP that transformers saved, under open_clip's names: the same network, its attention in one matrix."""

import re
from pathlib import Path
from zipfile import is_zipfile

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

THEIRS = "text_model.embeddings.token_embedding.weight"  # a tensor that only transformers calls so
BLOCK = r"(text|vision)_model\.encoder\.layers\.(\d+)\."
NAMES = {  # transformers' name -> open_clip's
    "logit_scale": "logit_scale",
    "text_projection.weight": "text_projection",
    "visual_projection.weight": "visual.proj",
    THEIRS: "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
}
IN_BLOCK = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
TOWERS = {"text": "transformer", "vision": "visual.transformer"}
PROJECTIONS = ("text_projection.weight", "visual_projection.weight")  # of a Linear there, a matrix here


def transformers_state(path: Path) -> dict[str, Tensor] | None:
    """The tensors of the file under open_clip's names; None: it is no CLIP of transformers."""
    if path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            theirs = THEIRS in file.keys()  # noqa: SIM118 (not a dict)
        return renamed(load_file(path)) if theirs else None
    state = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zipfile(path))
    return renamed(state) if isinstance(state, dict) and THEIRS in state else None


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of transformers' CLIPModel -> of open_clip's CLIP. A name that neither knows stays, to be refused."""
    out = {}
    for name, value in state.items():
        found = re.match(BLOCK, name)
        if name.endswith(".position_ids"):  # 0, 1, 2, ...: older versions saved them
            continue
        if found is None:
            out[NAMES.get(name, name)] = value.T if name in PROJECTIONS else value
            continue
        block, rest = f"{TOWERS[found[1]]}.resblocks.{found[2]}", name[found.end() :]
        part, kind = rest.rsplit(".", 1)
        if part == "self_attn.q_proj":
            three = [state[name.replace("q_proj", f"{which}_proj")] for which in "qkv"]
            out[f"{block}.attn.in_proj_{kind}"] = torch.cat(three)
        elif part not in ("self_attn.k_proj", "self_attn.v_proj"):
            out[f"{block}.{IN_BLOCK.get(part, part)}.{kind}"] = value
    return out
