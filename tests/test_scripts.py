"""Scripts that need no training: the fetched data set is verified before it is written."""

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from noise_search.datasets.cifar10 import cifar10, heldout_images, load_cifar10, shipped_images
from noise_search.datasets.imagenet import imagenet
from scripts.bench.__main__ import main as bench
from scripts.bench.catalogue import BENCHMARKS, FIGURES, chosen
from scripts.bench.page import DEVICES, page, read

DOCS = Path(__file__).parents[1] / "docs"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / f"scripts/{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_altered_photographs_are_refused() -> None:
    fetch = script("fetch_cifar10")
    arrays = {
        "train_images": np.zeros((50_000, 32, 32, 3), np.uint8),
        "train_labels": np.zeros(50_000, np.uint8),
        "test_images": np.zeros((10_000, 32, 32, 3), np.uint8),
        "test_labels": np.zeros(10_000, np.uint8),
    }
    with pytest.raises(ValueError, match="train_images: sha256 is"):
        fetch.verify(arrays)


def test_an_unknown_source_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["fetch_cifar10.py", "elsewhere"])
    with pytest.raises(SystemExit, match="unknown source 'elsewhere'"):
        script("fetch_cifar10").main()


def test_a_missing_data_set_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"scripts/fetch_cifar10\.py"):
        load_cifar10("train", tmp_path / "cifar10.npz")


def test_shipped_photographs_are_balanced_in_every_prefix() -> None:
    images, labels = shipped_images("reference")
    assert images.shape == (1000, 32, 32, 3) and images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [100] * 10
    assert np.bincount(labels[:250], minlength=10).tolist() == [25] * 10
    assert images.reshape(1000, -1).std(1).min() > 0
    with pytest.raises(ValueError, match="heads, reference"):
        shipped_images("both")


def test_held_out_photographs_end_where_the_shipped_ones_do(tmp_path: Path) -> None:
    found = heldout_images(300, tmp_path / "absent.npz")
    assert found is not None and len(found[0]) == len(found[1]) == 300
    assert heldout_images(1001, tmp_path / "absent.npz") is None


def test_classes_are_a_function_of_the_image_id() -> None:
    assert cifar10().index([0, 13, 29]).tolist() == [0, 3, 9]
    assert cifar10([2, 7]).index(range(5)).tolist() == [2, 7, 2, 7, 2]
    for bad in ([], [10], [-1], [1.5]):
        with pytest.raises(ValueError, match=r"dataset\.classes"):
            cifar10(bad)


def test_classes_may_be_drawn_by_seed_and_image_id() -> None:
    def drawn(seed: int = 0, ids: Sequence[int] = range(4000)) -> np.ndarray:
        return imagenet("imagenet256", list(range(10, 20)), "uniform", seed).index(ids)

    labels = drawn()
    assert np.array_equal(drawn(ids=[17, 3999, 0]), labels[[17, 3999, 0]])
    counts = np.bincount(labels - 10, minlength=10)
    assert len(counts) == 10 and (abs(counts - 400) < 5 * 360**0.5).all() and counts.std() > 0  # not balanced
    assert 0.05 < (drawn(seed=1) == labels).mean() < 0.15
    with pytest.raises(ValueError, match=r"dataset\.sampling=some: balanced or uniform"):
        imagenet("imagenet256", sampling="some")


def test_every_mutant_can_be_planted() -> None:
    """An edit moves the line that a mutant replaces: then it would prove nothing any more."""
    mutants = script("mutants")
    places = {mutant.name: mutants.places(mutant) for mutant in mutants.MUTANTS}
    assert len(places) == len(mutants.MUTANTS)
    assert set(places.values()) == {1}, {name: count for name, count in places.items() if count != 1}


def test_the_page_of_benchmarks_is_what_its_json_gives() -> None:
    record = json.loads((DOCS / "benchmarks.json").read_text())
    assert list(record) == list(FIGURES) and read(DOCS / "benchmarks.json") == record
    assert all(set(DEVICES) <= set(entries) for entries in record.values())
    assert (DOCS / "benchmarks.md").read_text() == page(record, (DOCS / "benchmarks-notes.md").read_text())


def test_benchmarks_are_chosen_by_name_or_the_beginning_of_one() -> None:
    assert list(chosen("")) == list(BENCHMARKS)
    assert list(chosen("sweep,scaling.workers")) == ["sweep.random", "sweep.zo", "scaling.workers"]
    with pytest.raises(ValueError, match="--only swe: one of efficiency, "):
        chosen("swe")


def test_a_benchmark_keeps_the_figures_of_others(tmp_path: Path) -> None:
    for name in ("metrics.kid", "efficiency"):
        assert bench(["--small", "--repeat", "2", "--only", name, "--into", str(tmp_path)]) == 0
    record = json.loads((tmp_path / "benchmarks.json").read_text())
    measured = {name for name, entries in record.items() if entries["cpu"]}
    assert measured == {"metrics.kid", "metrics.kid.difference", "efficiency"}
    found = record["efficiency"]["cpu"]
    assert 0 < found["low"] <= found["value"] <= found["high"] and found["runs"] == 2
    assert found["command"] == "python -m scripts.bench --only efficiency --device cpu --repeat 2 --small"
    text = (tmp_path / "benchmarks.md").read_text()
    assert f"`{found['command']}` |" in text and "| `memory` | not measured | h100, h200 |" in text


def test_small_benchmarks_do_not_touch_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        bench(["--small"])
    assert "--into another folder" in capsys.readouterr().err
