"""The probability-flow ODE on a fixed grid: dx/dt = a'(t) x0 + s'(t) eps, integrated by Euler and Heun steps."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from noise_search.denoiser import Denoiser, Prediction
from noise_search.grid import Grid
from noise_search.path import Path, expand


@dataclass(frozen=True)
class Flow:
    """denoiser: the metered model; path: what its times mean; decoder: latents [N, ...] -> images [N, 3, H, W]."""

    denoiser: Denoiser
    path: Path
    decoder: Callable[[Tensor], Tensor]

    def predict(self, x: Tensor, t: float | Tensor, who: Tensor) -> Prediction:
        """One evaluation a row at one common time t."""
        return self.denoiser(x, x.new_full((len(x),), float(t)), who)

    def velocity(self, x: Tensor, t: float | Tensor, who: Tensor) -> Tensor:
        """dx/dt at time t, [N, ...]; one evaluation a row."""
        x0, eps = self.predict(x, t, who)
        times = x.new_full((len(x),), float(t))
        return expand(self.path.signal_rate(times), x) * x0 + expand(self.path.noise_rate(times), x) * eps

    def solve(self, x: Tensor, grid: Grid, who: Tensor) -> Tensor:
        """x [N, ...] at grid.times[0] -> [N, ...] at grid.times[-1]; exactly grid.nfe evaluations a row."""
        for t, s, stages in zip(grid.times[:-1], grid.times[1:], grid.stages, strict=True):
            step = float(s - t)
            v = self.velocity(x, t, who)
            if stages == 2:
                v = (v + self.velocity(x + step * v, s, who)) / 2
            x = x + step * v
        return x

    def decode(self, x: Tensor) -> Tensor:
        """Finished latents [N, ...] -> images [N, 3, H, W] in [-1, 1]."""
        return self.decoder(x).clamp(-1, 1)
