"""SiT (Ma et al., arXiv 2401.08740) in the project's frame.

Its own convention stays inside this file: its time 1 - t rises from noise to data, and its transformer returns the
velocity in that time, x0 - eps.
"""

import torch
from torch import Tensor, nn

from noise_search.core.denoiser import Prediction
from noise_search.networks.transformer import Transformer


class SiTNetwork(nn.Module):
    """(x [N, ...], t [N] from 1 to 0, label [N]) -> Prediction. One row of cost a row.

    With rows int64 [N], labels [U] are shared: rows says which each row has, and t is the same for all.
    """

    def __init__(self, net: Transformer, precision: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.net, self.precision, self.conditions = net, precision, net.classes + 1

    def over(self, net: Transformer) -> "SiTNetwork":
        """The same around another transformer."""
        return SiTNetwork(net, self.precision)

    def forward(self, x: Tensor, t: Tensor, label: Tensor, rows: Tensor | None = None) -> Prediction:
        time = t if rows is None else t[:1].expand(len(label))
        with torch.autocast(x.device.type, self.precision, enabled=self.precision != torch.float32):
            velocity = self.net(x, 1 - time, label, rows)[:, : self.net.channels].float()
        t = t.view(-1, *[1] * (x.ndim - 1))
        return Prediction(x0=x + t * velocity, eps=x - (1 - t) * velocity)
