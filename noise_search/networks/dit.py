"""DiT (Peebles and Xie, arXiv 2212.09748) in the project's frame.

Its own convention stays inside this file: it is told an index of the DDPM table, from 0 (nearly clean) to 999 (noise),
and returns the noise; variances, which a deterministic sampler does not need, come after it.
"""

import torch
from torch import Tensor, nn

from noise_search.core.denoiser import Prediction
from noise_search.core.interpolant import DDPMInterpolant, expand
from noise_search.networks.transformer import Transformer


class DiTNetwork(nn.Module):
    """(x [N, ...], t [N] from 1 to 0, label [N]) -> Prediction. One row of cost a row.

    With rows int64 [N], labels [U] are shared: rows says which each row has, and t is the same for all.

    The index may lie between whole numbers; below 0, from the table's end to the clean image, the network is told 0.
    """

    def __init__(
        self,
        net: Transformer,
        interpolant: DDPMInterpolant | None = None,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.net, self.interpolant, self.precision = net, interpolant or DDPMInterpolant(), precision
        self.conditions = net.classes + 1

    def over(self, net: Transformer) -> "DiTNetwork":
        """The same around another transformer."""
        return DiTNetwork(net, self.interpolant, self.precision)

    def forward(self, x: Tensor, t: Tensor, label: Tensor, rows: Tensor | None = None) -> Prediction:
        t = t if rows is None else t[:1]  # broadcast
        with torch.autocast(x.device.type, self.precision, enabled=self.precision != torch.float32):
            index = self.interpolant.index(t).clamp_min(0).to(x.dtype).expand(len(label))
            eps = self.net(x, index, label, rows)[:, : self.net.channels].to(x.dtype)
        a, s = self.interpolant.signal(t).to(x.dtype), self.interpolant.noise(t).to(x.dtype)
        return Prediction((x - expand(s, x) * eps) / expand(a, x), eps)
