"""The VAE: what it decodes at once, and what a wrong folder is refused with."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file, save_file
from torch import Tensor

from noise_search.networks.vae import WEIGHTS, load_vae, rows_at_once
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


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many latents were decoded in each call; more than 3 at a time are too many for this device."""
    decode, rows = AutoencoderKL.decode, list[int]()

    def limited(self: AutoencoderKL, x: Tensor) -> object:
        rows.append(len(x))
        if len(x) > 3:
            raise torch.OutOfMemoryError(f"{len(x)} rows")
        return decode(self, x)

    monkeypatch.setattr(AutoencoderKL, "decode", limited)
    return rows


LATENTS = torch.randn(5, 4, 4, 4, generator=torch.Generator().manual_seed(0))


def test_latents_are_decoded_a_few_at_a_time_and_fewer_where_memory_is_full(
    good: Path, decoded: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """A bound on the memory that changes no image, is remembered and told."""
    with torch.no_grad(), caplog.at_level("WARNING", "noise_search"):
        few = load_vae(str(good), 4, "float32", 2, "cpu")[0](LATENTS)
        assert decoded == [2, 2, 1]
        decode, reconstruct, _ = load_vae(str(good), 4, "float32", 8, "cpu")
        del decoded[:]
        found = decode(LATENTS)
        assert decoded == [5, 4, 2, 2, 1]
        del decoded[:]
        assert torch.equal(decode(LATENTS), found) and reconstruct(found).shape == found.shape
        assert decoded == [2, 2, 1] * 2
    assert torch.allclose(few, found, atol=1e-5)
    assert caplog.messages == [
        "out of memory with 8 latents to decode at a time: going on with 4",
        "out of memory with 4 latents to decode at a time: going on with 2",
    ]


def test_the_layout_of_memory_changes_images_by_rounding_only(good: Path) -> None:
    vae = AutoencoderKL.from_pretrained(good).eval()
    with torch.no_grad():
        plain = vae.decode(LATENTS / vae.config.scaling_factor).sample
        assert torch.allclose(load_vae(str(good), 4, "float32", 5, "cpu")[0](LATENTS), plain, atol=1e-5)


def test_as_many_pixels_are_decoded_at_once_whatever_their_images() -> None:
    assert [rows_at_once(side, "cpu") for side in (16, 32, 64, 128, 512)] == [32, 8, 2, 1, 1]
    assert rows_at_once(32, "cuda:3") == 32 and rows_at_once(64, "cuda") == 8


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
