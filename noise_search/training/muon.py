"""Muon (Jordan et al. 2024) in float32: torch's own computes in bfloat16, which is slow on a CPU without it."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn


def orthogonal(g: Tensor) -> Tensor:
    """About U V^T of g = U S V^T [n, m], by five Newton-Schulz steps."""
    x = g / (g.norm() + 1e-7)
    wide = x if len(x) <= x.shape[1] else x.T
    for _ in range(5):
        gram = wide @ wide.T
        wide = 3.4445 * wide + (-4.7750 * gram + 2.0315 * gram @ gram) @ wide
    return wide if len(x) <= x.shape[1] else wide.T


class Muon(torch.optim.Optimizer):
    """Nesterov momentum whose matrices are made orthogonal, scaled to the size of AdamW's updates. For [n, m] only."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                mean = state.setdefault("mean", torch.zeros_like(p))
                mean.lerp_(p.grad, 1 - group["momentum"])
                update = orthogonal(p.grad.lerp(mean, group["momentum"]))
                p.add_(update, alpha=-group["lr"] * 0.2 * max(p.shape) ** 0.5)
