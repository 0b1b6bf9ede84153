"""What is kept between runs: made once per content, and never used for another."""

import dataclasses
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from noise_search.datasets.cifar10 import shipped_images
from noise_search.measures.scores import kernel_distance
from noise_search.metrics import lite2
from noise_search.run.floors import features_of, floors, reconstructed
from noise_search.storage import cache
from noise_search.storage.atomic import sha256
from noise_search.storage.cache import cached, cached_tensors
from noise_search.storage.weights import load_weights, save_weights
from tests.test_workers import toy_parts


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOISE_SEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Maker:
    """Counts how often it is asked."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> dict[str, Tensor]:
        self.calls += 1
        return {
            "x": torch.arange(12.0).reshape(3, 4),
            "half": torch.ones(3, dtype=torch.bfloat16),
            "one": torch.ones(()),
        }


def test_made_once_a_key_and_read_as_it_was_made(kept: Path) -> None:
    make = Maker()
    for _ in range(3):
        found = cached_tensors("kind", "a" * 64, make, {"of": "numbers"})
        assert all(torch.equal(found[name], value) for name, value in Maker()().items()) and len(found) == 3
    assert make.calls == 1 and len(list(kept.iterdir())) == 1
    cached_tensors("kind", "b" * 64, make)
    cached_tensors("other", "a" * 64, make)
    assert make.calls == 3 and len(list(kept.iterdir())) == 3


@pytest.mark.parametrize("damage", ["a flipped bit", "cut", "empty", "text", "no checksum", "a folder"])
def test_a_damaged_file_is_made_again(kept: Path, damage: str) -> None:
    make = Maker()
    cached_tensors("kind", "a" * 64, make)
    (path,) = kept.iterdir()
    content = path.read_bytes()
    if damage == "no checksum":
        cache.save_file(Maker()(), path)
    elif damage == "a folder":
        path.unlink()
        path.mkdir()
    else:
        flipped = content[:-1] + bytes([content[-1] ^ 1])
        path.write_bytes({"a flipped bit": flipped, "cut": content[:-4], "empty": b"", "text": b"text"}[damage])
    assert torch.equal(cached_tensors("kind", "a" * 64, make)["x"], Maker()()["x"]) and make.calls == 2
    cached_tensors("kind", "a" * 64, make)
    assert make.calls == (3 if damage == "a folder" else 2)  # which is not replaced, but does no harm


def test_where_nothing_can_be_written_nothing_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NOISE_SEARCH_CACHE", str(tmp_path / "file/cache"))
    with caplog.at_level(logging.WARNING, "noise_search"):
        assert cached("kind", "a" * 64, lambda: torch.ones(2)).sum() == 2
    assert "could not be kept" in caplog.text


def test_shipped_features_are_those_of_the_shipped_images_and_installed_weights() -> None:
    """To what float16 leaves of them, which a kernel distance hardly sees."""
    judge, images = lite2.Lite2().load(), shipped_images("reference")[0]
    shipped, card = load_weights(lite2.FOLDER / lite2.REFERENCE, "features")
    assert card["made_from"] == lite2.reference_key(judge.identity)
    real = judge.features(images[:100])
    assert np.abs(shipped["features"][:100].numpy() - real).max() < 2e-3
    x = judge.features(images[100:150])
    assert kernel_distance(x, shipped["features"][:100].numpy()) == pytest.approx(kernel_distance(x, real), abs=1e-5)


def test_other_weights_images_or_versions_never_see_shipped_or_kept_features(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are made then, once for every content."""
    seen: list[int] = []

    def features(images: np.ndarray) -> np.ndarray:
        seen.append(len(images))
        return np.full((len(images), 2), len(seen), np.float32)

    own = lite2.identity_of(96)
    assert lite2.reference_features(features, own, "cpu").shape == (1000, 1280) and not seen
    for i in range(2):
        assert lite2.reference_features(features, "other weights", "cpu").max() == 1 and len(seen) == 1, i
    assert lite2.reference_features(features, lite2.identity_of(128), "cpu").max() == 2
    assert lite2.reference_features(features, "other weights", "cuda").max() == 3
    monkeypatch.setattr(cache, "libraries", lambda: "newer")
    assert lite2.reference_features(features, "other weights", "cpu").max() == 4
    assert lite2.reference_features(features, own, "cpu").shape == (1000, 1280)
    monkeypatch.setattr(lite2, "sha256", lambda path: "0" if path.suffix == ".pth" else sha256(path))
    assert lite2.identity_of(96) != own
    assert lite2.reference_features(features, lite2.identity_of(96), "cpu").max() == 5
    monkeypatch.setattr(lite2, "FOLDER", tmp_path)
    save_weights(tmp_path / lite2.REFERENCE, {"features": torch.ones(2, 2)}, {"made_from": "others"})
    assert lite2.reference_features(features, own, "cpu").max() == 6 and len(seen) == 6


def test_networks_see_the_real_images_of_a_floor_once(kept: Path) -> None:
    parts, calls = toy_parts(), {"features": 0, "reconstruct": 0}

    def features(images: np.ndarray) -> np.ndarray:
        calls["features"] += 1
        return toy.judge.features(images)

    def reconstruct(images: Tensor) -> Tensor:
        calls["reconstruct"] += 1
        return images * 0.5

    toy = parts
    judge = dataclasses.replace(parts.judge, features=features, identity="weights a")
    model = dataclasses.replace(parts.model, reconstruct=reconstruct, weights={"file": "weights b"})
    parts = dataclasses.replace(parts, judge=judge, model=model)
    first = floors(parts, 20)
    assert floors(parts, 20) == first and {row["kind"] for row in first} == {"real", "reconstructed"}
    assert calls == {"features": 2, "reconstruct": 1}
    images = parts.judge.heldout(20)[0]
    for changed in (
        dataclasses.replace(parts, judge=dataclasses.replace(judge, identity="weights c")),
        dataclasses.replace(parts, model=dataclasses.replace(model, weights={"file": "weights c"})),
    ):
        assert np.array_equal(features_of(changed, images), toy.judge.features(images))
        reconstructed(changed, images)
    assert calls == {"features": 3, "reconstruct": 2}
    floors(parts, 21)
    assert calls == {"features": 5, "reconstruct": 3}
    before = len(list(kept.iterdir()))
    plain = dataclasses.replace(parts, judge=dataclasses.replace(judge, identity=""))
    features_of(plain, images)  # it says of nothing what it depends on
    assert calls["features"] == 6 and len(list(kept.iterdir())) == before
