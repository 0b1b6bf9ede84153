"""Training scenes, drawn once and kept in a file."""

from pathlib import Path

import numpy as np

from noise_search.scenes.draw import draw
from noise_search.scenes.language import padded_numbers
from noise_search.scenes.sample import draw_pair
from noise_search.storage.atomic import replacing

CHUNK = 1000


def training_scenes(path: Path, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pictures uint8 [count, 32, 32, 3] and their captions' words, uint8 [count, LONGEST], 0 after the end; drawn into
    `path` where there is none (1.4 ms a scene)."""
    if not path.is_file():
        parts = [chunk(seed, i) for i in range(-(-count // CHUNK))]
        images, words = (np.concatenate(column)[:count] for column in zip(*parts, strict=True))
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, images=images, words=words)
    with np.load(path) as kept:
        images, words = kept["images"], kept["words"]
    if len(images) != count:
        raise ValueError(f"{path}: {len(images)} scenes, {count} are asked for; remove it to draw it again")
    return images, words


def chunk(seed: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """CHUNK scenes: a function of seed and number."""
    rng = np.random.default_rng([seed, number])
    pairs = [draw_pair(rng) for _ in range(CHUNK)]
    return draw([objects for _, objects in pairs]), padded_numbers([caption.text for caption, _ in pairs])
