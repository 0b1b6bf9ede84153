"""Noise as a pure function of (seed, image, candidate, round, tag): a counter-based generator holds no state.

NumPy's Philox4x64 has a 128-bit key and a 256-bit counter; the key is (seed, tag), the counter (draw, image,
candidate, round), so two different addresses can never share a number. Drawn on the CPU: every device gets the same.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from noise_search.errors import Refused

# what a draw is for; a new purpose gets the next number
TAGS = {
    "noise": 0,
    "neighbour": 1,
    "pivot": 2,
    "renoise": 3,
    "uniform": 4,
    "jump": 5,
    "resample": 6,
    "mutate": 7,
    "tournament": 8,
    "local": 9,
    "explore": 10,
    "shuffle": 11,
    "region": 12,
}


def tag_number(tag: str) -> int:
    """The part of the key that keeps purposes apart: of TAGS, or of a name that another package gives its own purpose,
    "package:purpose", from 2**63 on: a digest of the name, so that nobody has to be asked for a number."""
    if ":" in tag:
        return int.from_bytes(hashlib.sha256(tag.encode()).digest()[:8], "big") | 1 << 63
    if tag not in TAGS:
        raise Refused(f"noise for {tag!r}: one of {', '.join(TAGS)}, or your own as 'package:purpose'")
    return TAGS[tag]


def generator(seed: int, tag: str, image: int, candidate: int, round: int) -> np.random.Generator:
    """The generator of one address, at its start."""
    key = np.array([seed, tag_number(tag)], dtype=np.uint64)
    counter = np.array([0, image, candidate, round], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def normal(
    seed: int,
    images: Sequence[int],
    candidates: Sequence[int],
    shape: tuple[int, ...],
    round: int = 0,
    tag: str = "noise",
) -> Tensor:
    """Standard normal float32 [N, *shape]; row i belongs to image images[i] and its candidate candidates[i].

    seed, images, candidates, round: integers >= 0, below 2**64; tag: see `tag_number`.
    """
    out = np.empty((len(images), *shape), dtype=np.float32)
    for row, image, candidate in zip(out, images, candidates, strict=True):
        row[...] = generator(seed, tag, image, candidate, round).standard_normal(shape, np.float32)
    return torch.from_numpy(out)


def uniform(seed: int, images: Sequence[int], count: int, round: int, tag: str) -> Tensor:
    """Uniform float64 [N, count] in [0, 1); row i belongs to image images[i]. It wants a tag of its own: noises of the
    same address would be made of the same bits."""
    rows = [generator(seed, tag, image, 0, round).random(count) for image in images]
    return torch.from_numpy(np.stack(rows))
