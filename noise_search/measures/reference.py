"""Real images' statistics in the formats in which they are published: ADM's .npz, torch-fidelity's cache, a folder."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from noise_search.errors import Refused
from noise_search.measures.frechet import Gaussian
from noise_search.measures.statistics import Statistics
from noise_search.storage.atomic import sha256
from noise_search.storage.cache import cached, cached_tensors, digest
from noise_search.storage.weights import told

BATCH = 64
KEPT = 10_000  # real images whose features are kept, for kernel distance, precision and recall
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")

Features = Callable[[np.ndarray], np.ndarray]  # uint8 [N, H, W, 3] -> float32 [N, D]


class Reference(NamedTuple):
    """name: what stands beside numbers; digest: of its content. published: moments that the file gives, by the names in
    it ("mu", "mu_s"). measured: () -> what the images in it give: the moments of all columns, and the first 10,000
    images' features [M, D]; None: there are no images."""

    name: str
    digest: str
    published: dict[str, Gaussian]
    measured: Callable[[], tuple[Gaussian, np.ndarray]] | None


def read_reference(path: Path, features: Features, network: str) -> Reference:
    """path: an .npz with mu and sigma (and mu_s, sigma_s, and images as arr_0, as ADM publishes it), an .npz of images
    alone, torch-fidelity's cached statistics (.pt), or a folder of equally large images.

    network: a digest of the weights behind `features`. What is measured here, for minutes on a large set, is kept with
    what made it.
    """
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if len(files) < 2:
            raise wrong(path, f"a folder with {len(files)} images ({', '.join(SUFFIXES)}); at least 2")
        own = folder_digest(path, files)
        measured = measure(lambda: opened(files), features, digest(network, own), path)
        return Reference(f"{path.name} ({len(files)} images)", own, {}, measured)
    arrays = read_arrays(path)
    published: dict[str, Gaussian] = {name: moments(arrays, path, name) for name in ("mu", "mu_s") if name in arrays}
    own = sha256(path)
    if "arr_0" not in arrays:
        return Reference(path.name, own, published, None)
    limit = KEPT if published else None
    name = path.name if published else f"{path.name} ({len(arrays['arr_0'])} images)"

    def images() -> Iterator[np.ndarray]:  # read again when they are wanted: 2 GB, which most runs never do
        return batches(read_arrays(path)["arr_0"][:limit])

    return Reference(name, own, published, measure(images, features, digest(network, own), path))


def folder_digest(folder: Path, files: list[Path]) -> str:
    """sha256 over names and contents; kept, because it takes minutes on a large folder, until a file changes."""

    def content() -> Tensor:
        text = digest(*(f"{file.relative_to(folder)} {sha256(file)}" for file in files))
        return torch.tensor(list(bytes.fromhex(text)), dtype=torch.uint8)

    looks = (f"{file.resolve()} {file.stat().st_size} {file.stat().st_mtime_ns}" for file in files)
    return bytes(cached("folder", digest(*looks), content).tolist()).hex()


def wrong(path: Path, what: str) -> Refused:
    return Refused(f"metrics.reference={path}: {what}")


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an .npz or of torch-fidelity's .pt; nothing that carries code is read."""
    rebuild = np.zeros(1).__reduce__()[0]  # what unpickles an array, under NumPy 1's name and NumPy 2's
    allowed: list[Any] = [np.ndarray, np.dtype, np.dtypes.Float32DType, np.dtypes.Float64DType]
    allowed += [(rebuild, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    try:
        if path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
        else:
            with torch.serialization.safe_globals(allowed):
                arrays = {k: np.asarray(v) for k, v in torch.load(path, weights_only=True).items()}
    except Exception as error:  # damaged files fail in many ways
        raise wrong(path, f"neither an .npz nor torch-fidelity's .pt ({told(error)})") from error
    if "mu" not in arrays and "arr_0" not in arrays:
        raise wrong(path, f"holds {', '.join(arrays)}; mu and sigma, or images as arr_0, were expected")
    found = arrays.get("arr_0", np.empty((2, 1, 1, 3), np.uint8))
    if found.dtype != np.uint8 or found.ndim != 4 or found.shape[3] != 3 or len(found) < 2:
        raise wrong(path, f"arr_0 is {found.dtype} {found.shape}, not uint8 [N, H, W, 3] of at least 2 images")
    return arrays


def moments(arrays: dict[str, np.ndarray], path: Path, mean: str) -> Gaussian:
    """The pair mu, sigma or mu_s, sigma_s, if it can be a mean and a covariance."""
    covariance = mean.replace("mu", "sigma")
    mu, sigma = arrays[mean], arrays.get(covariance, np.empty(0))
    both = f"{mean} {mu.dtype} {mu.shape} and {covariance} {sigma.dtype} {sigma.shape}"
    if mu.dtype.kind != "f" or sigma.dtype.kind != "f" or mu.ndim != 1 or sigma.shape != (len(mu), len(mu)):
        raise wrong(path, f"{both} do not belong together: real [D] and [D, D] were expected")
    if not np.isfinite(mu).all() or not np.isfinite(sigma).all():
        raise wrong(path, f"{both} hold numbers that are not finite")
    mu, sigma = mu.astype(np.float64), sigma.astype(np.float64)
    if (sigma.diagonal() < 0).any() or not np.allclose(sigma, sigma.T, atol=1e-3 * abs(sigma).max()):
        raise wrong(path, f"{covariance} is no covariance: not symmetric, or variances below 0")
    return Gaussian(mu, sigma)


def batches(images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), BATCH):
        yield images[start : start + BATCH]


def opened(files: list[Path]) -> Iterator[np.ndarray]:
    """Batches uint8 [n, H, W, 3] of image files."""
    for start in range(0, len(files), BATCH):
        images = [picture(file) for file in files[start : start + BATCH]]
        for file, image in zip(files[start:], images, strict=False):
            if image.shape != images[0].shape:
                raise Refused(
                    f"metrics.reference: {file}: {image.shape[:2]} pixels, not {images[0].shape[:2]} as others there"
                )
        yield np.stack(images)


def picture(file: Path) -> np.ndarray:
    """uint8 [H, W, 3] of an image file."""
    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's, for damaged files
        raise Refused(f"metrics.reference: {file}: not a whole image ({told(error)})") from error


def measure(
    images: Callable[[], Iterator[np.ndarray]], features: Features, key: str, source: Path
) -> Callable[[], tuple[Gaussian, np.ndarray]]:
    """`Reference.measured` of the batches that `images` gives."""

    def make() -> dict[str, torch.Tensor]:
        total, kept, count = None, [], 0
        for batch in images():
            seen = features(batch)
            part = Statistics.of(seen)
            total = part if total is None else total + part
            if count < KEPT:
                kept.append(seen[: KEPT - count])
            count += len(batch)
        assert total is not None
        return {
            "mean": torch.from_numpy(total.mean),
            "covariance": torch.from_numpy(total.covariance),
            "features": torch.from_numpy(np.concatenate(kept)),
        }

    @cache
    def measured() -> tuple[Gaussian, np.ndarray]:
        made = cached_tensors("reference", key, make, {"source": str(source), "of network and images": key})
        return Gaussian(made["mean"].numpy(), made["covariance"].numpy()), made["features"].numpy()

    return measured
