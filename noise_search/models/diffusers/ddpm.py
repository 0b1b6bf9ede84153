"""Pipelines on a table of noise levels, that of DDPM: what their schedulers call alphas_cumprod."""

from __future__ import annotations

import logging
from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor

from noise_search.core.checks import require, require_one_of
from noise_search.core.denoiser import Prediction
from noise_search.core.interpolant import DDPMInterpolant, expand
from noise_search.models.diffusers.family import Family

log = logging.getLogger("noise_search")
OTHER_SIGMAS = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")


class TableInterpolant(DDPMInterpolant):
    """kept: a^2 of every index of a table, rising noise; t = (i + 1) / len(kept) is index i.

    Between indices sigma = s / a grows linearly, or its logarithm with `logarithmic`, as Euler's scheduler has it.
    scaled: the unit normal at t = 1 stands for the noise alone, x_1 = eps + (a / s) x0, as that scheduler takes it.
    clean: at t = 0 there is no noise; else that of index 0 (DDIM's `set_alpha_to_one`).
    """

    def __init__(self, kept: Tensor, logarithmic: bool = False, scaled: bool = False, clean: bool = True) -> None:
        self.log_snr = torch.log(kept.double() / (1 - kept.double()))
        self.logarithmic, self.scaled, self.clean = logarithmic, scaled, clean

    def level(self, t: Tensor) -> Tensor:
        if self.logarithmic:
            return super().level(t)
        i, sigmas = self.index(t).clamp_min(0), torch.exp(-self.log_snr / 2).to(t.device)
        low = i.floor().long().clamp_max(len(sigmas) - 2)
        return -2 * torch.log(torch.lerp(sigmas[low], sigmas[low + 1], i - low))

    def preserving(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """a and s with a^2 + s^2 = 1, as the network knows them."""
        level, i = self.level(t), self.index(t)
        a, s = torch.sigmoid(level).sqrt(), torch.sigmoid(-level).sqrt()
        if not self.clean:
            return a, s
        s = s * (i + 1).clamp_max(1)
        return torch.where(i < 0, (1 - s**2).sqrt(), a), s

    def scale(self, t: Tensor) -> Tensor:
        """What our x is multiplied with for the network."""
        s = self.preserving(t)[1]
        return torch.where((t >= 1) & self.scaled, s, torch.ones_like(s))

    def signal(self, t: Tensor) -> Tensor:
        return self.preserving(t)[0] / self.scale(t)

    def noise(self, t: Tensor) -> Tensor:
        return self.preserving(t)[1] / self.scale(t)


class DDPM(Family):
    """A network that is told an index of the table, and tells the noise or, with v-prediction, a eps - s x0.

    Euler's and DDIM's steps are ours. Where DDIM's scheduler takes steps that are not all of one length, it goes to
    another index than the one that it asks the network about next; ours goes there.
    """

    schedulers = ("EulerDiscreteScheduler", "DDIMScheduler")
    interpolant: TableInterpolant

    def __init__(self, pipe: Any, height: int | None = None, width: int | None = None) -> None:
        super().__init__(pipe, height, width)
        config, euler = self.scheduler.config, type(self.scheduler).__name__ == "EulerDiscreteScheduler"
        refuse_other_steps(config, euler, self.scheduler.alphas_cumprod)
        self.learned_sigma = self.denoiser.config.out_channels == 2 * self.channels
        self.velocity = config.prediction_type == "v_prediction"
        self.interpolant = TableInterpolant(
            self.scheduler.alphas_cumprod,
            logarithmic=any(config.get(name) for name in OTHER_SIGMAS),
            scaled=euler and config.timestep_spacing != "leading",
            clean=euler or config.set_alpha_to_one,
        )

    def times(self, steps: int) -> list[float]:
        self.scheduler.set_timesteps(steps)
        table = len(self.interpolant.log_snr)
        return [*((float(index) + 1) / table for index in self.scheduler.timesteps), 0.0]

    @abstractmethod
    def told(self, x: Tensor, index: Tensor, *condition: Tensor) -> Tensor:
        """What the pipeline's network makes of x [N, ...] in its own precision at indices [N], [N, C or 2 C, h, w]."""

    def network(self, x: Tensor, t: Tensor, *condition: Tensor) -> Prediction:
        index = self.interpolant.index(t).clamp_min(0).float()
        a, s = (expand(values.float(), x) for values in self.interpolant.preserving(t))
        x = x * expand(self.interpolant.scale(t).float(), x)
        out = self.told(x.to(self.dtype), index, *condition)[:, : self.channels].float()
        if self.velocity:
            return Prediction(a * x - s * out, a * out + s * x)
        return Prediction((x - s * out) / a, out)


def refuse_other_steps(config: Any, euler: bool, kept: Tensor) -> None:
    """What would make the scheduler's steps others than ours."""
    key = "pipe.scheduler.config."
    require_one_of(key + "prediction_type", config.prediction_type, ("epsilon", "v_prediction"))
    require(key + "rescale_betas_zero_snr", True, bool(kept[-1] > 1e-6), "false")
    only = {"final_sigmas_type": "zero", "interpolation_type": "linear", "timestep_type": "discrete"}
    for name, value in (only if euler else {"clip_sample": False, "thresholding": False}).items():
        require(key + name, config.get(name), config.get(name, value) == value, str(value).lower())
