"""The probability-flow ODE on a fixed grid: dx = x0 da + eps ds, integrated by Euler and Heun steps.

Steps are taken in the interpolant's own a and s, not in t: on a variance-preserving one an Euler step is then a DDIM
step, and no derivative of it is needed (the DDPM table's is infinite at the clean end). On the linear one both agree.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from noise_search.core.denoiser import Denoiser, Prediction
from noise_search.core.grid import Grid
from noise_search.core.interpolant import Interpolant
from noise_search.errors import Refused


class Solution(NamedTuple):
    """x: [N, ...], at the end of the grid; views: [N, L, ...], clean predictions made on the way, one a level."""

    x: Tensor
    views: Tensor


@dataclass(frozen=True)
class Flow:
    """denoiser: the metered model; interpolant: what times mean; decoder: latents [N, ...] -> images [N, 3, H, W]."""

    denoiser: Denoiser
    interpolant: Interpolant
    decoder: Callable[[Tensor], Tensor]

    def predict(self, x: Tensor, t: float, who: Tensor) -> Prediction:
        """One evaluation a row at one common time t."""
        return self.denoiser(x, x.new_full((len(x),), t), who)

    def coefficients(self, times: Sequence[float]) -> tuple[list[float], list[float]]:
        """a and s at each of `times`."""
        t = torch.tensor(times, dtype=torch.float64)
        return self.interpolant.signal(t).tolist(), self.interpolant.noise(t).tolist()

    def solve(self, x: Tensor, grid: Grid, who: Tensor, levels: Sequence[float] = ()) -> Solution:
        """x [N, ...] at grid.times[0] -> its end at grid.times[-1]; exactly grid.nfe evaluations a row.

        levels: times whose clean predictions are wanted too, each from the evaluation at its nearest knot; no cost.
        """
        knots = [grid.nearest(level) for level in levels]
        seen: dict[int, Tensor] = {}
        a, s = self.coefficients(grid.times)
        for i, stages in enumerate(grid.stages):
            da, ds = a[i + 1] - a[i], s[i + 1] - s[i]
            x0, eps = self.predict(x, grid.times[i], who)
            if i in knots:
                seen[i] = x0
            step = da * x0 + ds * eps
            if stages == 2:
                x0, eps = self.predict(x + step, grid.times[i + 1], who)
                step = (step + da * x0 + ds * eps) / 2
            x = x + step
        views = torch.stack([seen[k] for k in knots], 1) if knots else x.new_empty(len(x), 0, *x.shape[1:])
        return Solution(x, views)

    def step(self, x: Tensor, t: float, s: float, now: Prediction, before: tuple[float, Prediction] | None) -> Tensor:
        """x [N, ...] from t to s < t by `now`, predicted of x at t, and `before`: an earlier time and what was
        predicted there (None: an Euler step). No evaluation.

        The prediction's parts are carried along lines through the two, x0 in a and eps in s, to the middle of the step
        (Adams and Bashforth's second order): Heun's order at one evaluation a step.
        """
        (a_t, a_s), (s_t, s_s) = self.coefficients((t, s))
        x0, eps = now
        if before is not None:
            (a,), (noise,) = self.coefficients((before[0],))
            x0 = x0 + (a_s - a_t) / 2 / (a_t - a) * (x0 - before[1].x0)
            eps = eps + (s_s - s_t) / 2 / (s_t - noise) * (eps - before[1].eps)
        return x + (a_s - a_t) * x0 + (s_s - s_t) * eps

    def jump(self, prediction: Prediction, t: float, s: float, eta: float, eps: Tensor) -> Tensor:
        """From t to s < t with fresh noise eps [N, ...]; prediction: of x [N, ...] at t. No evaluation.

        x_s = a_s x0 + sqrt(s_s^2 - v^2) eps_t + v eps, v = eta (s_s / s_t) sqrt(s_t^2 - (a_t s_s / a_s)^2): DDIM's rule
        in any a and s. eta = 0 is the Euler step of `solve`, eta = 1 ancestral sampling. Marginals are exact in the
        limit of small steps, with an error of the order of a step.
        """
        if not 0 <= s < t or not 0 <= eta <= 1:
            raise Refused(f"jump from t={t} to s={s} with eta={eta}: s must be below t, eta from 0 to 1")
        (a_s,), (s_s,) = self.coefficients((s,))
        fresh = self.fresh(t, s, eta)
        return a_s * prediction.x0 + (s_s**2 - fresh**2) ** 0.5 * prediction.eps + fresh * eps

    def fresh(self, t: float, s: float, eta: float = 1.0) -> float:
        """v of `jump`: standard deviation of the noise that a step from t to s < t adds."""
        (a_t, a_s), (s_t, s_s) = self.coefficients((t, s))
        return eta * s_s / s_t * (s_t**2 - (a_t * s_s / a_s) ** 2) ** 0.5

    def renoise(self, x: Tensor, t: float, s: float, eps: Tensor) -> Tensor:
        """x [N, ...] at t -> a sample of the forward process at s > t; keeps the marginals exact (paper, section 3.2).

        x_s = (a_s / a_t) x_t + sqrt(s_s^2 - (a_s / a_t)^2 s_t^2) eps, with eps [N, ...] standard normal; no evaluation.
        """
        if not t < s:
            raise Refused(f"renoise from t={t} to s={s}: s must be above t")
        (a_t, a_s), (s_t, s_s) = self.coefficients((t, s))
        ratio = a_s / a_t
        return ratio * x + (s_s**2 - (ratio * s_t) ** 2) ** 0.5 * eps

    def decode(self, x: Tensor) -> Tensor:
        """Finished latents [N, ...] -> images [N, 3, H, W] in [-1, 1]."""
        return self.decoder(x).clamp(-1, 1)
