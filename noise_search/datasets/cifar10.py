"""CIFAR-10: the ten classes, 2 x 1,000 shipped test photographs, and the full set where a script has fetched it."""

from pathlib import Path

import numpy as np
from PIL import Image

from noise_search.assets import asset
from noise_search.core.dataset import Dataset
from noise_search.errors import MissingFile, Refused

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
PATH = Path("data/cifar10.npz")
HALVES = ("heads", "reference")  # for verifiers' prototypes; for metrics


def cifar10(classes: list[int] | None = None) -> Dataset:
    """Conditions over the ten classes, or over the class ids in `classes`."""
    labelled = {"prototypes": lambda: shipped_images("heads"), "linear": lambda: load_cifar10("train")}
    return Dataset("cifar10", CLASSES, classes, labelled, class_set="cifar10")


def load_cifar10(split: str, path: Path = PATH) -> tuple[np.ndarray, np.ndarray]:
    """The full "train" (50,000) or "test" (10,000) split: uint8 [B, 32, 32, 3] and int64 labels [B]."""
    if split not in ("train", "test"):
        raise Refused(f"split={split!r}: train or test")
    if not Path(path).is_file():
        raise MissingFile(f"{path} is not there: run `python scripts/fetch_cifar10.py`")
    with np.load(path) as arrays:
        return arrays[f"{split}_images"], arrays[f"{split}_labels"].astype(np.int64)


def shipped_images(half: str) -> tuple[np.ndarray, np.ndarray]:
    """1,000 test photographs that come with the package, uint8 [1000, 32, 32, 3], and labels [1000].

    half: "heads" or "reference", disjoint. The order cycles through the classes, so every prefix is balanced.
    """
    if half not in HALVES:
        raise Refused(f"half={half!r}: one of {', '.join(HALVES)}")
    sprite = np.asarray(Image.open(asset(f"cifar10_{half}.webp")).convert("RGB"))  # 10 rows (classes) of 100
    images = sprite.reshape(10, 32, 100, 32, 3).transpose(2, 0, 1, 3, 4).reshape(1000, 32, 32, 3)
    return images, np.tile(np.arange(10, dtype=np.int64), 100)


def heldout_images(n: int, path: Path = PATH) -> tuple[np.ndarray, np.ndarray] | None:
    """n test photographs outside the reference half, and their labels: the shipped ones first, then the full set's.

    None where they are not at hand: beyond 1,000 the full set must have been fetched; there are 9,000 in all.
    """
    shipped, shipped_labels = shipped_images("heads")
    if n <= len(shipped):
        return shipped[:n], shipped_labels[:n]
    if not path.is_file():
        return None
    images, labels = load_cifar10("test", path)
    rank = np.empty(len(labels), dtype=np.int64)  # of an image within its class
    for k in range(10):
        rank[labels == k] = np.arange((labels == k).sum())
    rest = rank >= 200
    if n > len(shipped) + rest.sum():
        return None
    return np.concatenate([shipped, images[rest]])[:n], np.concatenate([shipped_labels, labels[rest]])[:n]


def write_sprite(half: str, folder: Path) -> None:
    """Make the shipped file of one half from the full test split: images 0-99 or 100-199 of every class."""
    images, labels = load_cifar10("test")
    start = 100 * HALVES.index(half)
    rows = np.stack([images[labels == k][start : start + 100] for k in range(10)])  # [10, 100, 32, 32, 3]
    sprite = rows.transpose(0, 2, 1, 3, 4).reshape(320, 3200, 3)
    Image.fromarray(sprite).save(folder / f"cifar10_{half}.webp", lossless=True, quality=100, method=6)
