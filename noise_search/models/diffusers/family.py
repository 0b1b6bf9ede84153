"""What a family of pipelines is: all that differs from one to another, one file each beside this one."""

from __future__ import annotations

import copy
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor

from noise_search.core.checks import require, require_one_of, whole
from noise_search.core.denoiser import Condition, Prediction
from noise_search.core.interpolant import Interpolant

log = logging.getLogger("noise_search")


class Family(ABC):
    """A pipeline at one size of image: its encoders, network, schedule and autoencoder, in the project's frame.

    pipelines: names of the classes that it wraps. schedulers: names of those whose steps, each from the state before
    it alone, are Euler steps in the interpolant's a and s. stand_in: one of them, which takes the place of any other
    scheduler, and is told; None: others are refused. classes, class_set, interpolant: as of `Model`.

    height, width: in pixels; None: the pipeline's own. Nothing of the pipeline is changed, nor moved to another device:
    tensors live where it executes, which hooks of its own may say (offloading).
    """

    pipelines: ClassVar[tuple[str, ...]]
    schedulers: ClassVar[tuple[str, ...]]
    stand_in: ClassVar[str | None] = None
    classes: int | None = None
    class_set: str | None = None
    interpolant: Interpolant

    def __init__(self, pipe: Any, height: int | None = None, width: int | None = None) -> None:
        self.pipe, self.device = pipe, torch.device(pipe._execution_device)
        self.height, self.width = self.size("height", height), self.size("width", width)
        self.scheduler = self.single_step_scheduler()
        self.knots: dict[int, list[float]] = {}

    # --- What a family says ---

    @abstractmethod
    def encode(self, texts: list[str]) -> Condition:
        """Different texts, a few -> their condition, one row a text: what `network` is called with, in its order."""

    @abstractmethod
    def network(self, x: Tensor, t: Tensor, *condition: Tensor) -> Prediction:
        """x float32 [N, *shape] at times t [N] -> clean image and noise, float32; one row each of the pipeline's own
        network. Where guidance is `distilled`, the last of `condition` is its scale [N]."""

    @abstractmethod
    def times(self, steps: int) -> list[float]:
        """The steps + 1 falling times, the last 0, at which the pipeline evaluates its network in so many steps."""

    def encode_null(self, negative_prompt: str | None) -> Condition:
        """The null condition, [1, ...]; None: none was given, for which some pipelines have one that is no text's."""
        return self.encode([negative_prompt or ""])

    def stand_in_settings(self) -> dict[str, Any]:
        """Of the stand-in, where they are not those of the pipeline's own scheduler."""
        return {}

    def tokenizers(self) -> dict[str, tuple[Any, int]]:
        """Name of an encoder -> its tokenizer and how many tokens it reads at the most."""
        return {}

    @property
    def distilled(self) -> bool:
        """Is the network told the scale of guidance?"""
        return False

    @property
    def steps(self) -> int:
        """The pipeline's own default."""
        return int(self.default("num_inference_steps"))

    @property
    def guidance(self) -> float:
        """The pipeline's own default; 1: none."""
        return float(self.default("guidance_scale"))

    @property
    def side(self) -> int:
        """Height and width that the pipeline makes by itself."""
        latents = getattr(self.pipe, "default_sample_size", None) or self.denoiser.config.sample_size
        return int(latents) * int(self.pipe.vae_scale_factor)

    @property
    def multiple(self) -> int:
        """Of which height and width must be multiples."""
        return int(self.pipe.vae_scale_factor * self.denoiser.config.patch_size)

    @property
    def channels(self) -> int:
        return int(self.denoiser.config.in_channels)

    def decode(self, x: Tensor) -> Tensor:
        """Finished latents [N, *shape], float32 -> images [N, 3, H, W], nominally in [-1, 1]."""
        vae = self.pipe.vae
        scaled = x / vae.config.scaling_factor + (vae.config.get("shift_factor") or 0.0)
        out: Tensor = vae.decode(scaled.to(vae.dtype), return_dict=False)[0]
        return out.float()

    def block_costs(self) -> list[int]:
        """Multiply-adds of a row in each of `blocks`."""
        return []

    # --- What all share ---

    @property
    def blocks(self) -> list[Any]:
        """Of a transformer, in their order; of a U-Net, whose blocks look past one another, none."""
        names = ("transformer_blocks", "single_transformer_blocks")
        return [block for name in names for block in getattr(self.denoiser, name, ())]

    @property
    def denoiser(self) -> Any:
        """The pipeline's network: a transformer, or a U-Net."""
        return self.pipe.components.get("transformer") or self.pipe.unet

    @cached_property
    def dtype(self) -> torch.dtype:
        """In which the network computes."""
        out: torch.dtype = self.denoiser.dtype
        return out

    @property
    def shape(self) -> tuple[int, ...]:
        scale = int(self.pipe.vae_scale_factor)
        return (self.channels, self.height // scale, self.width // scale)

    def schedule(self, steps: int) -> Sequence[float]:
        """As `times`, which are asked for once."""
        if steps not in self.knots:
            times = self.times(steps)
            falling = all(s < t for t, s in pairwise(times))
            if len(times) != steps + 1 or not falling or times[0] > 1 or times[-1] != 0:
                scheduler = type(self.scheduler).__name__
                require(
                    "steps", steps, False, f"a number of which {scheduler} makes falling times from 1 to 0: {times}"
                )
            self.knots[steps] = times
        return self.knots[steps]

    def default(self, name: str) -> Any:
        """Of an argument of the pipeline."""
        return inspect.signature(self.pipe.__call__).parameters[name].default

    def size(self, name: str, value: int | None) -> int:
        value, multiple = self.side if value is None else value, self.multiple
        require(name, value, whole(value) and value > 0 and value % multiple == 0, f"a multiple of {multiple} pixels")
        return int(value)

    def single_step_scheduler(self) -> Any:
        """A copy of the pipeline's scheduler, or its stand-in with the same settings."""
        scheduler = self.pipe.scheduler
        name = type(scheduler).__name__
        if name in self.schedulers:
            return copy.deepcopy(scheduler)
        if self.stand_in is None:
            require_one_of("pipe.scheduler", name, self.schedulers)
        import diffusers

        log.warning("%s cannot be branched (its steps remember others): %s stands in for it", name, self.stand_in)
        return getattr(diffusers, str(self.stand_in)).from_config(scheduler.config, **self.stand_in_settings())
