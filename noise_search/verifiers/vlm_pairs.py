"""Candidates that are compared two by two: how they are kept until then, and who meets whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from noise_search.errors import Refused
from noise_search.storage.cache_folder import digest
from noise_search.verifiers.vlm_ask import Shown

if TYPE_CHECKING:
    from torch import Tensor

DIGITS = 6  # hexadecimal, of one of a candidate's two numbers: 24 bits, which float32 holds exactly


def keep(shown: Shown) -> tuple[float, float]:
    """Keep a candidate on the disk, by its content; returns the two numbers that it is found again by."""
    import numpy as np
    import torch

    from noise_search.storage.cache import cached_tensors

    name = digest(shown.text, shown.image)[: 2 * DIGITS]
    parts = {"text": bytearray(shown.text.encode()), "image": bytearray(shown.image)}
    tensors = {key: torch.from_numpy(np.asarray(part, dtype=np.uint8)) for key, part in parts.items()}
    cached_tensors("candidate", name, lambda: tensors)
    return float(int(name[:DIGITS], 16)), float(int(name[DIGITS:], 16))


def kept(numbers: Sequence[float]) -> Shown | None:
    """The candidate of two numbers; None: they are NaN, of one that was never scored."""
    from noise_search.storage.cache import cached_tensors, folder

    if any(math.isnan(number) for number in numbers):
        return None
    name = "".join(f"{int(number):0{DIGITS}x}" for number in numbers)

    def gone() -> dict[str, Tensor]:
        raise Refused(f"{folder()}: candidate {name} is not kept here (any more), and cannot be compared")

    parts = {key: value.numpy().tobytes() for key, value in cached_tensors("candidate", name, gone).items()}
    return Shown(parts["text"].decode(), parts["image"])


def meetings(candidates: int, opponents: int | None) -> list[tuple[int, int]]:
    """Pairs (shown first, shown second) among `candidates`: each two that meet do so in both orders, since models
    prefer a place. opponents: each meets so many, its neighbours round a ring; None: everybody."""
    reach = candidates // 2 if opponents is None else min(opponents // 2, candidates // 2)
    pairs = {frozenset((i, (i + step) % candidates)) for i in range(candidates) for step in range(1, reach + 1)}
    ordered = sorted(tuple(sorted(pair)) for pair in pairs if len(pair) == 2)
    return [order for a, b in ordered for order in ((a, b), (b, a))]
