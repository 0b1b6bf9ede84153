"""CLIPScore, aesthetic, PickScore and HPS on random weights in the exact published formats, against float64."""

import dataclasses
import hashlib
import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import functional as TF

from noise_search import from_diffusers, search
from noise_search.algorithms.paths import Paths
from noise_search.core.dataset import Dataset
from noise_search.core.images import images_to_tensor
from noise_search.core.source import Hub
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.errors import Refused
from noise_search.networks.clip_keys import renamed
from noise_search.networks.clip_text import TextFeatures
from noise_search.networks.reward_head import folded
from noise_search.networks.vision import Clip, Preprocess
from noise_search.verifiers import aesthetic
from noise_search.verifiers.aesthetic import Aesthetic
from noise_search.verifiers.clipscore import BACKBONES, FILE, CLIPScore
from noise_search.verifiers.ensemble import Ensemble
from noise_search.verifiers.hpsv2 import HPSv2
from noise_search.verifiers.image_text import ImageText
from noise_search.verifiers.pickscore import PARAMETERS, PickScore
from scripts import check_aesthetic
from tests.conftest import Evil
from tests.simulated_device import on_device, simulated_device
from tests.tiny_pipelines import WARNINGS
from tests.tiny_pipelines import tiny as tiny_pipeline

MEAN, STD = (
    torch.tensor(x, dtype=torch.float64).view(3, 1, 1)
    for x in (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
)
TEXTS = ("a red fox in deep snow", "Two \u201cblue\u201d cats &amp; a dog\u2019s hat")
INTO = Surroundings("cpu", Dataset("two", TEXTS))
NAMES = ("ViT-B-32-quickgelu", "ViT-L-14-quickgelu", "ViT-H-14")
PUBLISHED = {name: open_clip.get_model_config(name) for name in NAMES}
HEADS = {"visual.transformer": 4, "transformer": 2}
LONG = "very " * 80 + "long"


def tiny(name: str) -> dict:
    """The architecture with a few narrow layers; CLIP's pixels, tokens and vocabulary."""
    size = {"layers": 2, "width": 64}
    vision = PUBLISHED[name]["vision_cfg"] | size | {"patch_size": 56, "head_width": 16}
    text = PUBLISHED[name]["text_cfg"] | size | {"heads": HEADS["transformer"]}
    return PUBLISHED[name] | {"embed_dim": 48, "vision_cfg": vision, "text_cfg": text}


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, tiny(name))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Of every architecture the weights as open_clip saves them; every tensor random."""
    folder, out = tmp_path_factory.mktemp("clip"), {}
    for seed, name in enumerate(NAMES):
        torch.manual_seed(seed)
        with mock.patch.dict(open_clip.factory._MODEL_CONFIGS, {name: tiny(name)}):
            state = open_clip.create_model(name).state_dict()
        state = {key: value + 0.1 * torch.randn_like(value) for key, value in state.items()}
        state["logit_scale"] = torch.tensor(4.6)
        out[name] = folder / f"{name}.safetensors"
        save_file(state, out[name])
    return out


def head_state(width: int = 48) -> dict[str, Tensor]:
    """The published names and shapes, read with another width."""
    torch.manual_seed(3)
    widths = {0: (1024, width), 2: (128, 1024), 4: (64, 128), 6: (16, 64), 7: (1, 16)}
    state = {f"layers.{n}.weight": torch.randn(shape) / shape[1] ** 0.5 for n, shape in widths.items()}
    return state | {f"layers.{n}.bias": torch.randn(shape[0]) for n, shape in widths.items()}


def hps_file(files: dict[str, Path], folder: Path) -> Path:
    """As its authors saved it: half precision, beside what else was in their checkpoint."""
    path = folder / "HPS_v2.1_compressed.pt"
    torch.save({"state_dict": load_file(files["ViT-H-14"]), "epoch": 1}, path)
    return path


def transformers_model() -> Any:
    """The tiny ViT-H/14 as transformers builds it from PickScore's configuration."""
    from transformers import CLIPConfig, CLIPModel

    one = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 2, "hidden_act": "gelu"}
    text = one | {"num_attention_heads": HEADS["transformer"]}
    vision = one | {"num_attention_heads": HEADS["visual.transformer"], "patch_size": 56, "image_size": 224}
    torch.manual_seed(5)
    net = CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=48)).eval()
    with torch.no_grad():
        for value in net.parameters():
            value.add_(0.1 * torch.randn_like(value))
        net.logit_scale.fill_(4.6)
    return net


@pytest.fixture(scope="module")
def picked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A file of PickScore's format, and the network that it is of."""
    net, path = transformers_model(), tmp_path_factory.mktemp("pick") / "model.safetensors"
    state = {name: value.contiguous() for name, value in net.state_dict().items()}
    numbers = {
        f"{tower}_model.embeddings.position_ids": torch.arange(n)[None] for tower, n in (("text", 77), ("vision", 17))
    }
    save_file(state | numbers, path)  # which transformers saved in 2023
    return path, net


# CLIP as its paper says it, in float64, on open_clip's names.


def attended(x: Tensor, state: dict[str, Tensor], block: str, heads: int, mask: Tensor | float) -> Tensor:
    n, length, width = x.shape
    qkv = x @ state[f"{block}.attn.in_proj_weight"].T + state[f"{block}.attn.in_proj_bias"]
    q, k, v = (part.view(n, length, heads, width // heads).transpose(1, 2) for part in qkv.chunk(3, 2))
    weights = (q @ k.transpose(2, 3) / (width // heads) ** 0.5 + mask).softmax(3)
    out = (weights @ v).transpose(1, 2).reshape(n, length, width)
    return out @ state[f"{block}.attn.out_proj.weight"].T + state[f"{block}.attn.out_proj.bias"]


def normed(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    unit = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return unit * state[f"{name}.weight"] + state[f"{name}.bias"]


def tower(x: Tensor, state: dict[str, Tensor], name: str, quick: bool, mask: Tensor | float = 0.0) -> Tensor:
    for layer in range(2):
        block = f"{name}.resblocks.{layer}"
        x = x + attended(normed(x, state, f"{block}.ln_1"), state, block, HEADS[name], mask)
        inner = (
            normed(x, state, f"{block}.ln_2") @ state[f"{block}.mlp.c_fc.weight"].T + state[f"{block}.mlp.c_fc.bias"]
        )
        inner = inner * (1.702 * inner).sigmoid() if quick else inner * 0.5 * (1 + torch.erf(inner / 2**0.5))
        x = x + inner @ state[f"{block}.mlp.c_proj.weight"].T + state[f"{block}.mlp.c_proj.bias"]
    return x


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True)


def image_features(images: Tensor, state: dict[str, Tensor], quick: bool) -> Tensor:
    """images [N, 3, 224, 224] in [-1, 1]."""
    pixels = ((images.double() + 1) / 2 - MEAN) / STD
    patches = F.unfold(pixels, 56, stride=56).transpose(1, 2) @ state["visual.conv1.weight"].flatten(1).T
    first = state["visual.class_embedding"].expand(len(images), 1, -1)
    x = torch.cat([first, patches], 1) + state["visual.positional_embedding"]
    x = tower(normed(x, state, "visual.ln_pre"), state, "visual.transformer", quick)
    return unit(normed(x[:, 0], state, "visual.ln_post") @ state["visual.proj"])


def text_features(tokens: list[list[int]], state: dict[str, Tensor], quick: bool) -> Tensor:
    """tokens: of each text from its first to its last special one; no padding is needed where none looks ahead."""
    out = []
    for row in tokens:
        x = (state["token_embedding.weight"][row] + state["positional_embedding"][: len(row)])[None]
        ahead = torch.full((len(row), len(row)), -torch.inf, dtype=torch.float64).triu(1)
        x = tower(x, state, "transformer", quick, ahead)
        out.append(normed(x[:, -1], state, "ln_final") @ state["text_projection"])
    return unit(torch.cat(out))


def double(path: Path) -> dict[str, Tensor]:
    return {name: value.double() for name, value in load_file(path).items()}


def tokens_of(texts: tuple[str, ...]) -> list[list[int]]:
    tokenizer = open_clip.SimpleTokenizer()
    return [[49406, *tokenizer.encode(text), 49407] for text in texts]


IMAGES = torch.rand(2, 3, 3, 224, 224, generator=torch.Generator().manual_seed(0)) * 2 - 1


def scores(verifier: Verifier, images: Tensor = IMAGES, texts: tuple[str, ...] = TEXTS) -> Tensor:
    with torch.no_grad():
        return verifier.score(Candidates(images, torch.arange(len(images)), None, texts))


def cosines(state: dict[str, Tensor], quick: bool, texts: tuple[str, ...] = TEXTS) -> Tensor:
    """[2, 3] of IMAGES and TEXTS."""
    images = image_features(IMAGES.flatten(0, 1), state, quick).view(2, 3, -1)
    return (images * text_features(tokens_of(texts), state, quick)[:, None]).sum(2)


def near(found: Tensor, expected: Tensor, within: float = 2e-5) -> bool:
    assert expected.std() > 100 * within, "scores that are all alike prove nothing"
    return found.dtype == torch.float32 and bool((found - expected).abs().max() < within)


@pytest.mark.parametrize("backbone", ["B/32", "L/14"])
def test_clipscore_is_the_published_formula(files: dict[str, Path], backbone: str) -> None:
    path = files[BACKBONES[backbone][0]]
    expected = 2.5 * cosines(double(path), quick=True).clamp_min(0)
    verifier = CLIPScore(backbone, str(path)).load(INTO)
    assert near(scores(verifier), expected) and (expected == 0).any() and (expected > 0).any()
    assert f"ViT-{backbone}," in verifier.name and "224 px" in verifier.name and "float32" in verifier.name
    assert list(verifier.weights.values()) == [hashlib.sha256(path.read_bytes()).hexdigest()]


def test_clipscore_takes_its_authors_prefix(files: dict[str, Path]) -> None:
    path, prefix = files["ViT-B-32-quickgelu"], "A photo depicts "
    expected = cosines(double(path), quick=True, texts=tuple(prefix + text for text in TEXTS))
    verifier = CLIPScore("B/32", str(path), prefix).load(INTO)
    assert near(scores(verifier), 2.5 * expected.clamp_min(0)) and prefix in verifier.name


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_hps_is_the_cosine_itself(files: dict[str, Path], tmp_path: Path, version: str) -> None:
    verifier = HPSv2(version, str(hps_file(files, tmp_path))).load(INTO)
    assert near(scores(verifier), cosines(double(files["ViT-H-14"]), quick=False))
    wide = IMAGES[..., :112, :]
    assert torch.equal(scores(verifier, wide), scores(verifier, F.pad(wide, (0, 0, 56, 56), value=-1.0)))
    assert f"HPS v{version} " in verifier.name and list(verifier.weights) == [f"xswu/HPSv2:{verifier.file_name}"]
    assert verifier.file_name == {"2.0": "HPS_v2_compressed.pt", "2.1": "HPS_v2.1_compressed.pt"}[version]


def test_pickscore_is_what_transformers_says(picked: tuple[Path, Any], tmp_path: Path) -> None:
    """Its own network on its own tokens, and the float64 restatement."""
    path, net = picked
    verifier = PickScore(str(path)).load(INTO)
    found, tokenizer = scores(verifier), transformers_tokenizer(tmp_path)
    inputs = tokenizer(list(TEXTS), padding=True, truncation=True, max_length=77, return_tensors="pt")
    pixels = ((IMAGES.flatten(0, 1) + 1) / 2 - MEAN.float()) / STD.float()
    with torch.no_grad():
        logits = net(pixel_values=pixels, **inputs).logits_per_image.view(2, 3, 2)
    theirs = torch.stack([logits[0, :, 0], logits[1, :, 1]])
    state = {name: value.double() for name, value in renamed(load_file(path)).items()}
    images = image_features(IMAGES.flatten(0, 1), state, quick=False).view(2, 3, -1)
    rows = [row[: row.index(49407) + 1] for row in inputs["input_ids"].tolist()]
    cosine = (images * text_features(rows, state, quick=False)[:, None]).sum(2)
    assert near(found, theirs, 1e-3) and near(found, np.exp(4.6) * cosine, 1e-3)


def test_aesthetic_is_its_layers_one_after_another(files: dict[str, Path], tmp_path: Path) -> None:
    path, state = tmp_path / "head.pth", head_state()
    torch.save(state, path)
    verifier = Aesthetic(str(files["ViT-L-14-quickgelu"]), str(path)).load(INTO)
    x = image_features(IMAGES.flatten(0, 1), double(files["ViT-L-14-quickgelu"]), quick=True)
    for n in (0, 2, 4, 6, 7):
        x = x @ state[f"layers.{n}.weight"].double().T + state[f"layers.{n}.bias"].double()
    assert near(scores(verifier), x.view(2, 3)) and torch.equal(scores(verifier), scores(verifier, texts=("", "")))
    assert verifier.reads == () and "own head head.pth" in verifier.name
    assert verifier.weights[Path(aesthetic.HEAD.target).name] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not hasattr(verifier.features.net, "token_embedding")  # nothing of the text tower is kept


def test_a_head_of_another_form_is_refused(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, clip = tmp_path / "head.pth", str(files["ViT-L-14-quickgelu"])
    good = head_state()
    v1 = {"weight": torch.zeros(1, 768), "bias": torch.zeros(1)}
    for state in (
        v1,
        good | {"layers.9.bias": torch.zeros(1)},
        {k: v for k, v in good.items() if k != "layers.6.bias"},
    ):
        torch.save(state, path)
        with pytest.raises(Refused, match=r"^verifier.head=.*head.pth: not the published head: (layers|bias)"):
            Aesthetic(clip, str(path)).load(INTO)
    torch.save(head_state(40), path)
    with pytest.raises(Refused, match=r"layers.0.weight is \[1024, 40\], expected \[1024, 48\]"):
        Aesthetic(clip, str(path)).load(INTO)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    torch.save(good, aesthetic.HEAD.target)
    with pytest.raises(Refused, match=r"not the published head .*give your own as verifier.head"):
        Aesthetic(clip).load(INTO)


def test_the_head_has_the_published_shapes() -> None:
    """Folded in float64: as exact as one float32 map can be."""
    state, x = head_state(768), unit(torch.randn(100, 768, dtype=torch.float64))
    weight, bias = (value.float() for value in folded(state, "head"))
    out = x
    for n in (0, 2, 4, 6, 7):
        out = out @ state[f"layers.{n}.weight"].double().T + state[f"layers.{n}.bias"].double()
    assert weight.shape == (768,) and bias.shape == ()
    assert (x.float() @ weight + bias - out[:, 0]).abs().max() < 1e-6


def test_the_script_checks_a_head_by_digest_and_folding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "head.pth"
    torch.save(head_state(768), path)
    with pytest.raises(AssertionError, match="published 21dd590f"):
        check_aesthetic.check(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    monkeypatch.setattr(check_aesthetic, "HEAD", dataclasses.replace(aesthetic.HEAD, sha256=digest))
    check_aesthetic.check(path)
    assert "folded: 768 -> 1" in capsys.readouterr().out


def open_clip_state(name: str) -> dict[str, Tensor]:
    """On the meta device."""
    with torch.device("meta"):
        net = open_clip.CLIP(**PUBLISHED[name])
    return dict(net.state_dict())


@pytest.mark.parametrize("name", NAMES)
def test_published_files_fit_by_name_and_shape(name: str) -> None:
    """transformers' CLIP of the published sizes, every tensor renamed, is open_clip's; so is the parameters' number."""
    from transformers import CLIPConfig, CLIPModel

    config, activation = PUBLISHED[name], "quick_gelu" if "quickgelu" in name else "gelu"
    sizes = []
    for part in (config["text_cfg"], config["vision_cfg"]):
        width, heads = part["width"], part.get("heads") or part["width"] // part.get("head_width", 64)
        one = {"hidden_size": width, "intermediate_size": 4 * width, "num_hidden_layers": part["layers"]}
        sizes.append(one | {"num_attention_heads": heads, "hidden_act": activation})
    sizes[1] |= {"patch_size": config["vision_cfg"]["patch_size"], "image_size": 224}
    with torch.device("meta"):
        theirs = CLIPModel(CLIPConfig(text_config=sizes[0], vision_config=sizes[1], projection_dim=config["embed_dim"]))
        found = {key: tuple(value.shape) for key, value in renamed(dict(theirs.state_dict())).items()}
    state = open_clip_state(name)
    assert found == {key: tuple(value.shape) for key, value in state.items()}
    counts = {architecture: parameters for architecture, _, parameters in BACKBONES.values()} | {"ViT-H-14": PARAMETERS}
    assert sum(value.numel() for value in state.values()) == counts[name]
    if name == "ViT-L-14-quickgelu":
        image = sum(value.numel() for key, value in state.items() if key.startswith("visual."))
        assert 4 * image == Aesthetic.weight_bytes and config["embed_dim"] == 768


def test_openai_weights_that_transformers_saved_are_read_too(files: dict[str, Path], tmp_path: Path) -> None:
    """openai/clip-vit-large-patch14 has the same network under other names; a name that nobody knows is refused."""
    from noise_search.networks import clip_keys

    back = {ours: theirs for theirs, ours in clip_keys.NAMES.items()}
    inside, towers = ({b: a for a, b in names.items()} for names in (clip_keys.IN_BLOCK, clip_keys.TOWERS))
    state: dict[str, Tensor] = {}
    for name, value in load_file(files["ViT-L-14-quickgelu"]).items():
        if name in back:
            state[back[name]] = value.T.contiguous() if back[name] in clip_keys.PROJECTIONS else value
            continue
        tower_name, rest = name.split(".resblocks.")
        number, part, kind = (
            rest.split(".", 1)[0],
            *rest.split(".", 1)[1].replace("in_proj_", "in_proj.").rsplit(".", 1),
        )
        block = f"{towers[tower_name]}_model.encoder.layers.{number}"
        if part == "attn.in_proj":
            for which, third in zip("qkv", value.chunk(3), strict=True):
                state[f"{block}.self_attn.{which}_proj.{kind}"] = third.contiguous()
        else:
            state[f"{block}.{inside[part]}.{kind}"] = value
    save_file(state, tmp_path / "model.safetensors")
    torch.save(state, tmp_path / "pytorch_model.bin")
    wanted = scores(CLIPScore("L/14", str(files["ViT-L-14-quickgelu"])).load(INTO))
    for name in ("model.safetensors", "pytorch_model.bin"):
        assert torch.equal(scores(CLIPScore("L/14", str(tmp_path / name)).load(INTO)), wanted)
    save_file(state | {"score_head.weight": torch.zeros(1)}, tmp_path / "more.safetensors")
    with pytest.raises(Refused, match=r"verifier.file=.*more.safetensors: not weights of ViT-L-14.*score_head"):
        CLIPScore("L/14", str(tmp_path / "more.safetensors")).load(INTO)


# Texts.


def transformers_tokenizer(folder: Path) -> Any:
    """Its tokenizer of CLIP, from the vocabulary that comes with open_clip."""
    from transformers import CLIPTokenizerFast

    ours = open_clip.SimpleTokenizer()
    special = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    (folder / "vocab.json").write_text(json.dumps({special.get(word, word): k for word, k in ours.encoder.items()}))
    merges = sorted(ours.bpe_ranks, key=ours.bpe_ranks.__getitem__)
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(pair) for pair in merges)]))
    return CLIPTokenizerFast.from_pretrained(str(folder))


TRICKY = (
    *TEXTS,
    "  A   cat\tsits\n",
    "\uff26\uff35\uff2c\uff2c width",
    "café",
    "cafe\u0301",
    "naïve, 3x2=6!",
    "",
    LONG,
    "it's 1,000 dogs\u2019 Ünïcode — 猫 🐈",
)


def test_pickscore_reads_the_tokens_of_its_processor(picked: tuple[Path, Any], tmp_path: Path) -> None:
    theirs = transformers_tokenizer(tmp_path)
    clip = Clip("ViT-H-14", str(picked[0]), "float32")
    ours = TextFeatures(clip, "pickscore", transformers=True).tokenizer
    for text in TRICKY:
        rows = ours([text])[0].tolist()
        assert rows[: rows.index(49407) + 1] == theirs(text, truncation=True, max_length=77)["input_ids"], text
    openai = TextFeatures(clip, "clipscore").tokenizer
    assert openai(["dogs\u2019"]).tolist() == openai(["dogs'"]).tolist() != ours(["dogs\u2019"]).tolist()


def test_every_text_is_encoded_once_and_alone(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    verifier, encoded = CLIPScore("B/32", str(files["ViT-B-32-quickgelu"])).load(INTO), []
    own = verifier.texts.encode
    monkeypatch.setattr(verifier.texts, "encode", lambda text: encoded.append(text) or own(text))
    rows = IMAGES.flatten(0, 1)[:, None]
    together = scores(verifier, rows, (*(TEXTS[0],) * 3, *(TEXTS[1],) * 3))
    assert encoded == list(TEXTS)
    assert torch.allclose(together.view(2, 3), scores(verifier), atol=1e-6) and len(encoded) == 2
    again = CLIPScore("B/32", str(files["ViT-B-32-quickgelu"])).load(INTO)
    assert torch.equal(again.texts(TEXTS[1:]), verifier.texts(TEXTS)[1:])  # whatever its company
    monkeypatch.setattr("noise_search.networks.clip_text.KEPT", 3)
    assert again.texts([str(k) for k in range(9)]).shape == (9, 48) and list(again.texts.kept) == ["6", "7", "8"]


def test_texts_that_are_too_long_are_counted_and_told(files: dict[str, Path], caplog: pytest.LogCaptureFixture) -> None:
    texts = (*TEXTS, LONG, LONG + " and longer", LONG)
    verifier = CLIPScore("B/32", str(files["ViT-B-32-quickgelu"]))
    with caplog.at_level(logging.WARNING, "noise_search"):
        verifier.load(Surroundings("cpu", Dataset("long", texts, [0, 1, 2, 3])))
        scores(verifier, IMAGES, (LONG, LONG + " and longer"))
        scores(verifier, IMAGES, (LONG, "another " * 90))
    counted, new = (record.getMessage() for record in caplog.records)
    assert "CLIPScore (OpenAI ViT-B/32" in counted and "2 of 4 texts are longer than the 77 tokens" in counted
    assert "1 of 1 texts" in new and "another another" in new
    assert torch.equal(verifier.texts([LONG]), verifier.texts([LONG + " and longer"]))  # what is told of is true
    exact = "a " * 74 + "a"  # 75 tokens and the two special ones
    assert verifier.texts.tell_of_cut([exact]) == 0 and verifier.texts.tell_of_cut([exact + " a"]) == 1


def test_without_texts_it_is_said(files: dict[str, Path]) -> None:
    verifier = CLIPScore("B/32", str(files["ViT-B-32-quickgelu"])).load(Surroundings())
    with pytest.raises(Refused, match=r"^verifier CLIPScore .*compares images with texts: 0 for 2 images"):
        scores(verifier, texts=())


# Images.


@pytest.mark.parametrize("size", [(300, 410), (512, 384), (1024, 1024), (224, 224), (100, 40)])
def test_hps_sees_the_whole_image(size: tuple[int, int]) -> None:
    """As its authors' evaluation: the longer side to 224 pixels, black beside the other; within 1/255 of roundings."""
    y, x = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(x / 9 + y / 40), np.cos(x / 50 - y / 11), np.sin((x + y) / 30)]
    pixels = (127.5 + 127.5 * np.stack(waves, -1)).round().astype(np.uint8)
    scale = 224 / max(size)
    h, w = round(size[0] * scale), round(size[1] * scale)
    image = TF.resize(Image.fromarray(pixels), [h, w], TF.InterpolationMode.BICUBIC)
    left, top = (224 - w) // 2, (224 - h) // 2
    padded = TF.to_tensor(TF.pad(image, [left, top, 224 - w - left, 224 - h - top]))
    ours = Preprocess(224, [0.0] * 3, [1.0] * 3, 224, pad=True)(images_to_tensor(pixels[None]))[0]
    apart = (ours - padded).abs() * 255
    assert ours.shape == (3, 224, 224) and apart.max() < 1.6 and apart.mean() < 0.5


def test_large_images_and_gradients(files: dict[str, Path], tmp_path: Path) -> None:
    """Text features made under inference mode are no obstacle to a gradient in the image."""
    torch.save(head_state(), tmp_path / "head.pth")
    verifiers: list[Verifier] = [
        CLIPScore("B/32", str(files["ViT-B-32-quickgelu"]), precision="bfloat16").load(INTO),
        HPSv2("2.0", str(files["ViT-H-14"])).load(INTO),
        Aesthetic(str(files["ViT-L-14-quickgelu"]), str(tmp_path / "head.pth")).load(INTO),
    ]
    for verifier in verifiers:
        with torch.inference_mode():
            scores(verifier)
        images = torch.rand(2, 1, 3, 256, 320, requires_grad=True)
        verifier.score(Candidates(images, torch.arange(2), None, TEXTS)).sum().backward()
        assert verifier.differentiable and images.grad is not None and images.grad.abs().sum() > 0


def test_bfloat16_is_near_and_named(files: dict[str, Path]) -> None:
    exact, rough = (HPSv2("2.1", str(files["ViT-H-14"]), p).load(INTO) for p in ("float32", "bfloat16"))
    apart = (scores(exact) - scores(rough)).abs()
    assert 0 < apart.max() < 0.02 and "bfloat16" in rough.name
    settled = HPSv2("2.1", str(files["ViT-H-14"]), "auto").load(INTO)
    assert settled.precision in ("float32", "bfloat16") and f"{settled.precision})" in settled.name


# Files and settings.


def test_missing_and_wrong_files_are_told_by_key(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    for make, words in (
        (lambda: CLIPScore("B/32"), "hf download timm/vit_base_patch32_clip_224.openai open_clip_model.safetensors"),
        (lambda: HPSv2("2.0"), r"hf download xswu/HPSv2 HPS_v2_compressed.pt --local-dir weights/HPSv2/"),
        (PickScore, r"hf download yuvalkirstain/PickScore_v1 model.safetensors --local-dir weights/PickScore_v1/"),
        (Aesthetic, r"wget -P weights .*linearMSE.pth`, or `noise-search prefetch` as this run"),
        (lambda: Aesthetic(head="/nowhere.pth"), r"verifier.head=/nowhere.pth: there is no such file"),
        (lambda: PickScore("/nowhere.bin"), r"verifier.file=/nowhere.bin: there is no such file"),
    ):
        with pytest.raises(FileNotFoundError, match=words) as caught:
            make().load(INTO)
        assert "\n" not in str(caught.value)
    torch.save({"state_dict": Evil(tmp_path / "ran")}, tmp_path / "evil.pt")
    for verifier in (HPSv2(file="evil.pt"), Aesthetic(str(files["ViT-L-14-quickgelu"]), "evil.pt")):
        with pytest.raises(Refused, match=r"evil.pt: (not weights of|refused: it wants to run)"):
            verifier.load(INTO)
    assert not (tmp_path / "ran").exists()
    part = {name: value for name, value in load_file(files["ViT-H-14"]).items() if name != "visual.proj"}
    torch.save({"state_dict": part}, tmp_path / "part.pt")
    with pytest.raises(Refused, match=r"verifier.file=part.pt: not weights of ViT-H-14 .*visual.proj"):
        HPSv2(file="part.pt").load(INTO)


def test_files_are_found_where_prefetch_puts_them(
    files: dict[str, Path], picked: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made: tuple[tuple[ImageText, Path], ...] = (
        (CLIPScore(), files["ViT-L-14-quickgelu"]),
        (PickScore(), picked[0]),
        (HPSv2(), hps_file(files, tmp_path)),
    )
    for verifier, file in made:
        (source,) = verifier.sources
        assert isinstance(source, Hub)
        path = tmp_path / source.target / verifier.file_name
        path.parent.mkdir(parents=True)
        path.write_bytes(file.read_bytes())
        given = type(verifier)(file=str(file))
        assert given.sources == () and given.load(INTO).weights == verifier.load(INTO).weights
        assert (verifier.weight_bytes or 0) > 1e9
    assert [getattr(source, "target", "") for source in Aesthetic().sources] == [
        "weights/ViT-L-14-quickgelu-openai/",
        "weights/sac+logos+ava1-l14-linearMSE.pth",
    ]
    assert Aesthetic(file="a", head="b").sources == () and Path(FILE).suffix == ".safetensors"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: CLIPScore("H/14"), r"^backbone=H/14: one of B/32, L/14"),
        (lambda: CLIPScore(precision="half"), r"^precision=half: one of float32, bfloat16"),
        (lambda: CLIPScore(prefix=None), r"^prefix=None: words"),
        (lambda: HPSv2("2"), r"^version=2: one of 2.0, 2.1"),
        (lambda: PickScore(precision="float16"), r"^precision=float16: one of"),
        (lambda: Aesthetic(precision=""), r"^precision=: one of"),
    ],
)
def test_bad_settings_are_refused(make: Callable[[], Verifier], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_a_plan_needs_no_torch() -> None:
    names = ("aesthetic.Aesthetic", "clipscore.CLIPScore", "hpsv2.HPSv2", "pickscore.PickScore")
    lines = [
        f"from noise_search.verifiers.{part.replace('.', ' import ')} as part; print(part().name)" for part in names
    ]
    code = "\n".join([*lines, "import sys; assert 'torch' not in sys.modules"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "HPS v2.1" in done.stdout, done.stderr


@pytest.fixture
def members(files: dict[str, Path], picked: tuple[Path, Any], tmp_path: Path) -> dict[str, Verifier]:
    """Of verifier=ensemble_pickscore."""
    torch.save(head_state(), tmp_path / "head.pth")
    return {
        "aesthetic": Aesthetic(str(files["ViT-L-14-quickgelu"]), str(tmp_path / "head.pth")),
        "clipscore": CLIPScore("L/14", str(files["ViT-L-14-quickgelu"])),
        "pickscore": PickScore(str(picked[0])),
    }


def test_the_ensemble_keeps_every_members_raw_scores(members: dict[str, Verifier]) -> None:
    ensemble = Ensemble(members, {"clipscore": 0}).load(INTO)
    with torch.no_grad():
        columns = ensemble.scores(Candidates(IMAGES, torch.arange(2), None, TEXTS))
    assert columns.shape == (2, 3, 3) and ensemble.reads == ("texts",) and ensemble.members == tuple(members)
    for v, member in enumerate(members.values()):
        assert torch.equal(columns[..., v], scores(member))
    assert len(ensemble.weights) == 3  # the L/14 of two members is one file


@pytest.mark.parametrize("name", ["aesthetic", "clipscore", "pickscore", "hpsv2"])
def test_on_a_device_scores_are_the_cpus_and_nothing_waits(
    members: dict[str, Verifier], files: dict[str, Path], name: str
) -> None:
    verifier, ends = (members | {"hpsv2": HPSv2(file=str(files["ViT-H-14"]))})[name], []
    for device in ("cpu", "cuda"):
        with simulated_device() as seen, torch.no_grad():
            verifier.load(Surroundings(device))
            candidates = Candidates(IMAGES.to(device), torch.arange(2).to(device), None, TEXTS)
            first = verifier.score(candidates)  # the texts are encoded
            seen.syncs.clear()
            again = verifier.score(candidates)
            assert not seen.syncs and on_device(again) == (device == "cuda")
            ends += [first.cpu(), again.cpu()]
    assert all(torch.equal(end, ends[0]) for end in ends)


@pytest.mark.filterwarnings(*WARNINGS)
@pytest.mark.parametrize("algorithm", ["random", "zo", Paths(paths=1, backward_nfe=2)])
def test_a_pipeline_is_searched_under_the_ensemble(members: dict[str, Verifier], algorithm: str | Paths) -> None:
    """The scores that are told are those of the very images, up to their rounding to bytes."""
    ensemble, texts = Ensemble(members), ["a red fox", "two cats", "a red fox"]
    model = from_diffusers(tiny_pipeline("flux_dev"), steps=2, height=32, width=32)
    found = search(model, texts, ensemble, algorithm=algorithm, n=5, batch_size=4)
    images = images_to_tensor(np.stack([np.asarray(image) for image in found.images]))[:, None]
    again = torch.stack([scores(member, images, tuple(texts))[:, 0] for member in members.values()], 1)
    apart = (torch.from_numpy(found.scores) - again).abs()
    assert found.scores.shape == (3, 3) and (apart < torch.tensor([0.02, 0.02, 2.0])).all()
    assert all(member.name in found.verifier for member in members.values())
    assert list(ensemble.parts["clipscore"].texts.kept) == ["a red fox", "two cats"]
