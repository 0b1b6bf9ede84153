"""Files of weights in the formats in which SiT and DiT were published, read as `DiffusionTransformer`s.

Accepted: the original .pt (a state dict, or {model, ema, opt, args}, of which ema is taken), diffusers' folder or its
transformer/ folder, safetensors of either. Nothing in a file tells SiT from DiT: `kind` must.
"""

import json
import pickle
import re
import zipfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from noise_search.core.checks import whole
from noise_search.errors import MissingFile, Refused
from noise_search.networks.transformer import DiffusionTransformer, position_embedding
from noise_search.storage.weights import told

KINDS = ("sit", "dit")
DIFFUSERS = {  # our name: diffusers' name
    "x_embedder.proj": "pos_embed.proj",
    "t_embedder.mlp.0": "transformer_blocks.0.norm1.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "transformer_blocks.0.norm1.emb.timestep_embedder.linear_2",
    "y_embedder.embedding_table": "transformer_blocks.0.norm1.emb.class_embedder.embedding_table",
    "final_layer.adaLN_modulation.1": "proj_out_1",
    "final_layer.linear": "proj_out_2",
}
BLOCK = {
    "adaLN_modulation.1": "norm1.linear",
    "attn.proj": "attn1.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors or torch file, mapped from disk rather than copied. No code in a file is run."""
    if not path.is_file():
        raise MissingFile(f"{path}: there is no such file of weights")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise Refused(f"{path}: damaged or not safetensors ({error})") from error
    try:
        with torch.serialization.safe_globals([Namespace]):  # the `args` of a training checkpoint
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        code = re.search(r"(?:GLOBAL|global) (\S+)", str(error))
        what = f"it wants to run {code.group(1)}" if code else "damaged, or not a torch file"
        raise Refused(f"{path}: refused: {what}; only files that hold nothing but tensors are read") from error
    except (RuntimeError, EOFError, OSError) as error:
        raise Refused(f"{path}: damaged or cut short, or not a torch file") from error
    if isinstance(found, dict) and isinstance(found.get("ema"), dict):
        found = found["ema"]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise Refused(f"{path}: holds no state dict of tensors, and no training checkpoint's ema")
    return found


def locate(path: Path) -> Path:
    """The file of weights behind `path`, which may be a diffusers folder."""
    if not path.is_dir():
        return path
    for folder in (path / "transformer", path):
        for name in ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"):
            if (folder / name).is_file():
                return folder / name
    raise MissingFile(f"{path}: no [transformer/]diffusion_pytorch_model.safetensors or .bin in this folder")


def from_diffusers(state: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """diffusers' names -> ours. Its blocks each carry a copy of the embedders; they must be the same."""
    blocks = [int(m.group(1)) for k in state if (m := re.match(r"transformer_blocks\.(\d+)\.", k))]
    depth = 1 + max(blocks, default=0)
    names = dict(DIFFUSERS)
    for i in range(depth):
        names |= {f"blocks.{i}.{ours}": f"transformer_blocks.{i}.{theirs}" for ours, theirs in BLOCK.items()}
    try:
        out = {f"{ours}.{kind}": state[f"{theirs}.{kind}"] for ours, theirs in names.items() for kind in kinds(ours)}
        for i in range(depth):
            for kind in ("weight", "bias"):
                parts = [state[f"transformer_blocks.{i}.attn1.to_{part}.{kind}"] for part in "qkv"]
                out[f"blocks.{i}.attn.qkv.{kind}"] = torch.cat(parts)
    except KeyError as error:
        raise Refused(f"{path}: not a whole DiTTransformer2DModel, it has no {error}") from error
    used = {f"{theirs}.{kind}" for theirs in names.values() for kind in ("weight", "bias")} | {"pos_embed.pos_embed"}
    for key, value in state.items():
        if ".norm1.emb." in key:
            first = state.get(re.sub(r"blocks\.\d+", "blocks.0", key))
            if first is None or not torch.equal(value, first):
                raise Refused(f"{path}: {key} is not that of block 0; every published DiT has one embedder")
        elif key not in used and not re.fullmatch(r"transformer_blocks\.\d+\.attn1\.to_[qkv]\.(weight|bias)", key):
            raise Refused(f"{path}: not a DiTTransformer2DModel of diffusers, which has no {key}")
    return out


def kinds(name: str) -> tuple[str, ...]:
    return ("weight",) if "embedding_table" in name else ("weight", "bias")


def load_transformer(path: Path, kind: str, expected: dict[str, int]) -> DiffusionTransformer:
    """The network in a published file, in evaluation mode, float32, on the CPU.

    kind: "sit" or "dit". expected: width, depth, heads, patch, channels, size (of the latent), classes. ValueError says
    what the file holds and what was expected.
    """
    if kind not in KINDS:
        raise Refused(f"model.kind={kind!r}: one of {', '.join(KINDS)}")
    if expected["width"] % expected["heads"]:
        raise Refused(f"model.net: a width of {expected['width']} is not shared by {expected['heads']} heads")
    file = locate(path)
    state, norm2_eps, shift = read_tensors(file), 1e-6, 0
    if any(key.startswith("transformer_blocks.") for key in state):
        if kind == "sit":
            raise Refused(f"{file}: a DiTTransformer2DModel of diffusers, but model.kind=sit")
        config = diffusers_config(file, expected)
        state, norm2_eps, shift = from_diffusers(state, file), config["norm_eps"], 1
        state["pos_embed"] = position_embedding(expected["width"], config["sample_size"] // expected["patch"])
    found = sizes(state, file)
    wanted = {name: expected[name] for name in found if name in expected}
    if any(found[name] != value for name, value in wanted.items()):
        shown = {name: found[name] for name in wanted}
        raise Refused(f"{file}: a network of {shown}, not {wanted}: choose the model that this file is of")
    if found["out_channels"] not in (found["channels"], 2 * found["channels"]):
        raise Refused(
            f"{file}: its last layer gives {found['out_channels']:g} channels, not {found['channels']}, or with"
            " variances twice as many"
        )
    if kind == "dit" and found["out_channels"] == found["channels"]:
        raise Refused(f"{file}: its last layer gives no variances; every published DiT does, so this is a SiT")
    with torch.device("meta"):
        net = DiffusionTransformer(
            **expected, out_channels=int(found["out_channels"]), norm2_eps=norm2_eps, shift=shift
        )
    try:
        net.load_state_dict({name: value.float() for name, value in state.items()}, assign=True)
    except RuntimeError as error:
        lines = " ".join(str(error).split())
        raise Refused(f"{file}: not the weights of this network: {lines[:300]}") from error
    return net.eval().requires_grad_(False)


def sizes(state: dict[str, Tensor], file: Path) -> dict[str, float]:
    """What the shapes of a state dict tell; the number of heads is not among it."""
    try:
        embed, last = state["x_embedder.proj.weight"], state["final_layer.linear.weight"]
        patch = embed.shape[2]
        return {
            "width": embed.shape[0],
            "depth": 1 + max(int(k.split(".")[1]) for k in state if k.startswith("blocks.")),
            "patch": patch,
            "channels": embed.shape[1],
            "out_channels": last.shape[0] / patch**2,
            "size": patch * round(state["pos_embed"].shape[1] ** 0.5),
            "classes": state["y_embedder.embedding_table.weight"].shape[0] - 1,
        }
    except (KeyError, ValueError, IndexError) as error:  # no such tensor, or not of so many dimensions
        some = ", ".join(list(state)[:3])
        raise Refused(
            f"{file}: not a SiT or DiT ({told(error)}); it holds {len(state)} tensors ({some}, ...)"
        ) from error


def diffusers_config(file: Path, expected: dict[str, int]) -> dict[str, Any]:
    """The config.json beside a diffusers file: its weights do not tell the size of the latent, nor the heads."""
    path = file.parent / "config.json"
    if not path.is_file():
        raise MissingFile(f"{path}: there is no such file; diffusers' weights are read with their config.json")
    try:
        config = {"norm_eps": 1e-5, "sample_size": 32} | dict(json.loads(path.read_bytes()))  # diffusers' own defaults
    except (ValueError, TypeError) as error:
        raise Refused(f"{path}: not diffusers' config.json ({told(error)})") from error
    eps, size = config["norm_eps"], config["sample_size"]
    if not (whole(size) and size >= 1 and isinstance(eps, float) and eps > 0):
        raise Refused(f"{path}: sample_size={size!r}, norm_eps={eps!r}; a whole number and a small one were expected")
    for theirs, ours in {"num_attention_heads": "heads", "num_layers": "depth"}.items():
        if config.get(theirs, expected[ours]) != expected[ours]:
            raise Refused(f"{path}: {theirs}={config[theirs]}, but model.net.{ours}={expected[ours]}")
    names = ("Transformer2DModel", "DiTTransformer2DModel")  # as it was published, and as diffusers calls it now
    if config.get("_class_name", names[0]) not in names:
        raise Refused(f"{path}: a {config['_class_name']}, not a {' or '.join(names)}")
    return config
