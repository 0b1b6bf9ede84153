"""Noise as a pure function of (seed, image, candidate, round, tag): a counter-based generator holds no state.

NumPy's Philox4x64 has a 128-bit key and a 256-bit counter; the key is (seed, tag), the counter (draw, image,
candidate, round), so two different addresses can never share a number. Drawn on the CPU: every device gets the same.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

TAGS = {
    "noise": 0,
    "neighbour": 1,
    "pivot": 2,
    "renoise": 3,
}  # what a draw is for; every new purpose gets the next number


def normal(
    seed: int,
    images: Sequence[int],
    candidates: Sequence[int],
    shape: tuple[int, ...],
    round: int = 0,
    tag: str = "noise",
) -> Tensor:
    """Standard normal float32 [N, *shape]; row i belongs to image images[i] and its candidate candidates[i].

    seed, images, candidates, round: integers >= 0, below 2**64; tag: a key of TAGS.
    """
    key = np.array([seed, TAGS[tag]], dtype=np.uint64)
    out = np.empty((len(images), *shape), dtype=np.float32)
    for row, image, candidate in zip(out, images, candidates, strict=True):
        counter = np.array([0, image, candidate, round], dtype=np.uint64)
        row[...] = np.random.Generator(np.random.Philox(key=key, counter=counter)).standard_normal(shape, np.float32)
    return torch.from_numpy(out)
