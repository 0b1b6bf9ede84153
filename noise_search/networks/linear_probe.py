"""Linear probes on frozen features: what the heads of verifiers and of the judge are made with."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def fit(features: np.ndarray, labels: Tensor, decay: float, steps: int = 200) -> tuple[Tensor, Tensor]:
    """weight [10, D] and bias [10] of a logistic regression; features are standardised inside, so `decay` is fair."""
    x = torch.from_numpy(features).float()
    mean, std = x.mean(0), x.std(0) + 1e-6
    x = (x - mean) / std
    weight = torch.zeros(10, x.shape[1], requires_grad=True)
    bias = torch.zeros(10, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=steps, history_size=20, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(x @ weight.T + bias, labels) + decay * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    scaled = weight.detach() / std
    return scaled, bias.detach() - scaled @ mean


def accuracy(features: np.ndarray, labels: Tensor, weight: Tensor, bias: Tensor) -> float:
    return float(((torch.from_numpy(features) @ weight.T + bias).argmax(1) == labels).float().mean())
