"""The VAE: what a wrong folder is refused with."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file

from noise_search.networks.vae import WEIGHTS, load_vae
from scripts.make_fake_weights import write_vae
from tests.conftest import Evil

OLD_NAMES = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}  # as published in 2022


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("vae")
    write_vae(folder)
    return folder


def test_the_first_published_names_of_attention_give_the_same_images(tmp_path: Path, good: Path) -> None:
    shutil.copytree(good, tmp_path / "old")
    state = {}
    for name, value in load_file(good / WEIGHTS).items():
        for new, old in OLD_NAMES.items():
            name = name.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
        state[name] = value
    assert len(set(state) & set(load_file(good / WEIGHTS))) == len(state) - 16
    save_file(state, tmp_path / "old" / WEIGHTS)
    latents = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = (load_vae(str(path), 4, "float32", 1, "cpu")[0](latents) for path in (good, tmp_path / "old"))
    assert torch.equal(one, other)


def test_latents_are_decoded_a_few_at_a_time(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound on the memory that changes no image."""
    decode = AutoencoderKL.decode
    rows: list[int] = []
    monkeypatch.setattr(AutoencoderKL, "decode", lambda self, x: (rows.append(len(x)), decode(self, x))[1])
    latents = torch.randn(5, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        few, all_at_once = (load_vae(str(good), 4, "float32", n, "cpu")[0](latents) for n in (2, 5))
    assert rows == [2, 2, 1, 5]
    assert torch.allclose(few, all_at_once, atol=1e-5)


def test_a_name_of_the_hub_is_fetched_and_what_fails_is_told(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    load = AutoencoderKL.from_pretrained

    def from_hub(name: str, **options: object) -> object:
        asked.append(name)
        return load(good, **options)

    monkeypatch.setattr(AutoencoderKL, "from_pretrained", from_hub)
    digest = load_vae("hub:owner/name", 4, "float32", 1, "cpu")[2]
    assert asked == ["owner/name"]
    monkeypatch.undo()
    assert digest == load_vae(str(good), 4, "float32", 1, "cpu")[2]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match=r"hf download owner/name .*model.vae=") as caught:
        load_vae("hub:owner/name", 4, "float32", 1, "cpu")
    assert "\n" not in str(caught.value)


def test_wrong_folders_are_refused_by_what_they_hold(tmp_path: Path, good: Path) -> None:
    state = load_file(good / WEIGHTS)

    def refused(words: str, name: str, channels: int = 4) -> None:
        with pytest.raises((ValueError, FileNotFoundError), match=rf"^model.vae=.*{words}") as caught:
            load_vae(str(tmp_path / name), channels, "float32", 1, "cpu")
        assert name in str(caught.value) and "\n" not in str(caught.value)

    def copy(name: str) -> Path:
        return Path(shutil.copytree(good, tmp_path / name))

    refused("there is no such file", "nowhere")
    (copy("empty") / WEIGHTS).unlink()
    refused(f"holds no {WEIGHTS}", "empty")
    (copy("evil") / WEIGHTS).unlink()
    torch.save({"x": Evil(tmp_path / "harm")}, tmp_path / "evil/diffusion_pytorch_model.bin")
    refused(f"holds no {WEIGHTS}", "evil")
    assert not (tmp_path / "harm").exists()
    (copy("short") / WEIGHTS).write_bytes((good / WEIGHTS).read_bytes()[:1000])
    refused("not an AutoencoderKL", "short")
    save_file({name: v for name, v in state.items() if "decoder.conv_out" not in name}, copy("part") / WEIGHTS)
    refused("2 missing tensors, decoder.conv_out.bias first", "part")
    save_file(state | {"extra": torch.ones(1)}, copy("more") / WEIGHTS)
    refused("1 unexpected tensors, extra first", "more")
    save_file(state | {"decoder.conv_out.weight": torch.ones(3, 16, 3, 3)}, copy("shape") / WEIGHTS)
    refused("not an AutoencoderKL", "shape")
    (copy("torn") / "config.json").write_text("{")
    refused("not an AutoencoderKL", "torn")
    config = json.loads((good / "config.json").read_text())

    def changed(name: str, **values: object) -> None:
        (copy(name) / "config.json").write_text(json.dumps(config | values))

    changed("latents", latent_channels=16)
    refused("not an AutoencoderKL", "latents")
    changed("zero", scaling_factor=0)
    refused("scaling_factor 0 in config.json: not an AutoencoderKL", "zero")
    changed("word", scaling_factor="x")
    refused("scaling_factor 'x' in config.json: not an AutoencoderKL", "word")
    changed("shifted", shift_factor=0.1)
    refused("shift_factor in config.json: not an AutoencoderKL", "shifted")
    copy("whole")
    refused("latents of 4 channels, the model's have 16", "whole", channels=16)
