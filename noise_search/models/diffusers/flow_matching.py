"""Families on the linear path: FLUX, Stable Diffusion 3, SANA."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor

from noise_search.core.checks import require
from noise_search.core.denoiser import Prediction
from noise_search.core.interpolant import LinearInterpolant, expand
from noise_search.models.diffusers.family import Family


class FlowMatching(Family):
    """On the linear path, whose t is the scheduler's sigma; the network tells eps - x0."""

    schedulers = ("FlowMatchEulerDiscreteScheduler",)
    interpolant = LinearInterpolant()

    def single_step_scheduler(self) -> Any:
        scheduler = super().single_step_scheduler()
        for name in ("stochastic_sampling", "invert_sigmas"):
            value = scheduler.config.get(name, False)
            require(f"pipe.scheduler.config.{name}", value, not value, "false")
        return scheduler

    def times(self, steps: int) -> list[float]:
        self.set_timesteps(steps)
        return [float(sigma) for sigma in self.scheduler.sigmas]

    def set_timesteps(self, steps: int) -> None:
        """As the pipeline sets them."""
        self.scheduler.set_timesteps(steps)

    def shift_by_size(self, tokens: int, most: float) -> float:
        """The logarithm of the shift, which grows linearly with the number of tokens. most: at 4096, if the scheduler
        does not say it."""
        config = self.scheduler.config
        low, high = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        first, last = config.get("base_shift", 0.5), config.get("max_shift", most)
        slope = (last - first) / (high - low)
        return float(tokens * slope + (first - slope * low))

    @abstractmethod
    def velocity(self, x: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        """eps - x0, [N, *shape], of one row each of the pipeline's network."""

    def network(self, x: Tensor, t: Tensor, *condition: Tensor) -> Prediction:
        v, t = self.velocity(x, t, *condition).float(), expand(t, x)
        return Prediction(x - t * v, x + (1 - t) * v)
