"""A pipeline of diffusers as a model. diffusers itself is not imported: whoever has a pipeline has it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from math import isqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from noise_search.core.checks import finite, require, whole
from noise_search.core.denoiser import Batches, Condition
from noise_search.core.model import Model
from noise_search.core.schedule import Listed
from noise_search.errors import Refused
from noise_search.models.diffusers.cached import CachedBlocks
from noise_search.models.diffusers.families import family_of
from noise_search.models.diffusers.family import Family
from noise_search.networks.vae import rows_at_once

log = logging.getLogger("noise_search")
TEXTS = 8  # encoded at once
SHOWN = 60  # characters of a text in a warning


def from_diffusers(
    pipe: Any,
    *,
    guidance: float | None = None,
    steps: int | None = None,
    negative_prompt: str | None = None,
    height: int | None = None,
    width: int | None = None,
    decode_rows: int | None = None,
    offload_encoders: bool = False,
    name: str | None = None,
) -> Model:
    """A loaded pipeline as a model for `search`; of a class that is not supported: refused, with the list.

    The pipeline gives encoders, network, schedule and autoencoder, and is left as it is, where it is; hooks that
    offload its parts go on doing so. The integrator is ours: Euler steps on the scheduler's own times, latents in
    float32. With n = 1 the image is the pipeline's own on the same noise.

    guidance, steps, height, width (pixels): those of `search` where it is given none; None: the pipeline's defaults.
    steps are NFE of a candidate and of a final generation. negative_prompt: for guidance of two rows an evaluation.
    decode_rows: latents decoded at once; None: what suits the device, fewer where its memory is full.
    offload_encoders: text encoders are on the device only while they encode, once for the prompts of a search or unit.
    name: beside numbers; by default that of the repository or folder that the pipeline was loaded from.
    """
    family = family_of(pipe)(pipe, height, width)
    refuse_wrong(family, guidance, steps, negative_prompt, decode_rows)
    if offload_encoders and any(hasattr(part, "_hf_hook") for part in encoders_of(pipe)):
        raise Refused("offload_encoders=True: hooks of the pipeline move its encoders already")
    read = Reader(family, offload_encoders)
    pixels = isqrt(family.height * family.width)  # of a side; `rows_at_once` reckons in latents of 8
    rows = decode_rows or rows_at_once(max(8, pixels) // 8, str(family.device))
    batches = Batches(rows, "latents to decode")

    def null() -> Condition:
        return read.under(lambda: family.encode_null(negative_prompt))

    def decode(x: Tensor) -> Tensor:
        return torch.cat(batches(family.decode, x))

    own_name = Path(str(getattr(pipe, "name_or_path", None) or "")).name
    return Model(
        name=name or own_name or type(pipe).__name__,
        network=family.network,
        interpolant=family.interpolant,
        shape=family.shape,
        classes=family.classes,
        class_set=family.class_set,
        decoder=decode,
        batch_size=None,
        encode=None if family.classes is not None else read,
        encode_null=None if family.classes is not None else null,
        solver="euler",
        schedule=Listed(family.schedule),
        distilled=family.distilled,
        device=str(family.device),
        steps=family.steps if steps is None else steps,
        guidance=family.guidance if guidance is None else float(guidance),
        reusable=sum(family.block_costs()[1:]) or None,
        reusing=partial(CachedBlocks, family.network, family.blocks),
    )


class Reader:
    """texts -> their condition, one row a text; equal ones are encoded once. What an encoder leaves out is told."""

    def __init__(self, family: Family, offload: bool) -> None:
        self.family, self.offload = family, offload
        if offload:
            self.move("cpu")

    def __call__(self, texts: Sequence[str]) -> Condition:
        distinct = list(dict.fromkeys(texts))
        tell_of_long(self.family, distinct)
        chunks = [distinct[at : at + TEXTS] for at in range(0, len(distinct), TEXTS)]
        parts = self.under(lambda: [self.family.encode(chunk) for chunk in chunks])
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        which = torch.tensor([distinct.index(text) for text in texts], device=self.family.device)
        return tuple(column[which] for column in columns)

    @torch.no_grad()
    def under(self, call: Callable[[], Any]) -> Any:
        """call(), its encoders on the device; parts that the pipeline's own hooks left there make room first."""
        self.family.pipe.maybe_free_model_hooks()
        self.move(str(self.family.device))
        try:
            return call()
        finally:
            self.move("cpu")

    def move(self, device: str) -> None:
        if self.offload:
            for encoder in encoders_of(self.family.pipe):
                encoder.to(device)


def encoders_of(pipe: Any) -> list[nn.Module]:
    parts = pipe.components.items()
    return [part for name, part in parts if name.startswith("text_encoder") and isinstance(part, nn.Module)]


def tell_of_long(family: Family, texts: Sequence[str]) -> None:
    """A warning for each encoder that does not read all of some texts."""
    for name, (tokenizer, most) in family.tokenizers().items():
        lengths = [len(tokenizer(text, truncation=False, verbose=False).input_ids) for text in texts]
        if long := [text for text, length in zip(texts, lengths, strict=True) if length > most]:
            log.warning(
                "%d of %d prompts are longer than the %d tokens that %s reads (up to %d), and their ends unread: %r",
                *(len(long), len(texts), most, name, max(lengths), long[0][:SHOWN]),
            )


def refuse_wrong(
    family: Family, guidance: float | None, steps: int | None, negative_prompt: str | None, decode_rows: int | None
) -> None:
    good = guidance is None or (finite(guidance) and guidance >= 0)
    require("guidance", guidance, good, "a number, at least 0 (1: none)")
    if getattr(family.denoiser, "is_cache_enabled", False):
        raise Refused(
            "pipe.transformer: a cache of diffusers is enabled, which mixes candidates; disable_cache() first"
        )
    for name, value in (("steps", steps), ("decode_rows", decode_rows)):
        require(name, value, value is None or (whole(value) and value >= 1), "a whole number, at least 1")
    told = "none: this network is told the scale of its guidance, and makes no second pass"
    require("negative_prompt", negative_prompt, negative_prompt is None or not family.distilled, told)
    require(
        "negative_prompt", negative_prompt, negative_prompt is None or family.classes is None, "none: it has classes"
    )
    family.schedule(family.steps if steps is None else steps)
