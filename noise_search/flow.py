"""The probability-flow ODE on a fixed grid: dx/dt = a'(t) x0 + s'(t) eps, integrated by Euler and Heun steps."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from noise_search.denoiser import Denoiser, Prediction
from noise_search.grid import Grid
from noise_search.path import Path, expand


class Solution(NamedTuple):
    """x: [N, ...], at the end of the grid; views: [N, L, ...], clean predictions made on the way, one a level."""

    x: Tensor
    views: Tensor


@dataclass(frozen=True)
class Flow:
    """denoiser: the metered model; path: what its times mean; decoder: latents [N, ...] -> images [N, 3, H, W]."""

    denoiser: Denoiser
    path: Path
    decoder: Callable[[Tensor], Tensor]

    def predict(self, x: Tensor, t: float, who: Tensor) -> Prediction:
        """One evaluation a row at one common time t."""
        return self.denoiser(x, x.new_full((len(x),), t), who)

    def velocity(self, prediction: Prediction, t: float) -> Tensor:
        """dx/dt at time t, [N, ...]; free of cost."""
        x0, eps = prediction
        times = x0.new_full((len(x0),), t)
        return expand(self.path.signal_rate(times), x0) * x0 + expand(self.path.noise_rate(times), x0) * eps

    def solve(self, x: Tensor, grid: Grid, who: Tensor, levels: Sequence[float] = ()) -> Solution:
        """x [N, ...] at grid.times[0] -> its end at grid.times[-1]; exactly grid.nfe evaluations a row.

        levels: times whose clean predictions are wanted too, each from the evaluation at its nearest knot; no cost.
        """
        knots = [grid.nearest(level) for level in levels]
        seen: dict[int, Tensor] = {}
        for i, (t, s, stages) in enumerate(zip(grid.times[:-1], grid.times[1:], grid.stages, strict=True)):
            prediction = self.predict(x, t, who)
            if i in knots:
                seen[i] = prediction.x0
            v = self.velocity(prediction, t)
            if stages == 2:
                v = (v + self.velocity(self.predict(x + (s - t) * v, s, who), s)) / 2
            x = x + (s - t) * v
        views = torch.stack([seen[k] for k in knots], 1) if knots else x.new_empty(len(x), 0, *x.shape[1:])
        return Solution(x, views)

    def renoise(self, x: Tensor, t: float, s: float, eps: Tensor) -> Tensor:
        """x [N, ...] at t -> a sample of the forward process at s > t; keeps the marginals exact (paper, section 3.2).

        x_s = (a_s / a_t) x_t + sqrt(s_s^2 - (a_s / a_t)^2 s_t^2) eps, with eps [N, ...] standard normal; no evaluation.
        """
        if not t < s:
            raise ValueError(f"renoise from t={t} to s={s}: s must be above t")
        times = torch.tensor([t, s], dtype=torch.float64)
        (a_t, a_s), (s_t, s_s) = self.path.signal(times).tolist(), self.path.noise(times).tolist()
        ratio = a_s / a_t
        return ratio * x + (s_s**2 - (ratio * s_t) ** 2) ** 0.5 * eps

    def decode(self, x: Tensor) -> Tensor:
        """Finished latents [N, ...] -> images [N, 3, H, W] in [-1, 1]."""
        return self.decoder(x).clamp(-1, 1)
