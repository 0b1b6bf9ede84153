"""Direct noise optimisation: gradient ascent on the noise that keeps it likely (Tang et al., arXiv 2405.18881)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from noise_search.algorithms.first_order import GradientSearch, best_of, scored_gradient
from noise_search.core.algorithm import unsearched
from noise_search.core.checks import require
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.problem import Problem


class DNOState(NamedTuple):
    """As `FirstOrderState`; mean, square: [B, ...], Adam's running means of the gradient and of its square."""

    round: int
    x: Tensor
    best: Tensor
    best_score: Tensor
    best_address: Tensor
    mean: Tensor
    square: Tensor


@dataclass(frozen=True)
class DNO(GradientSearch):
    """Adam's steps along the gradient of score + `regularisation` times `likeliness`; its points are S, the moves.

    learning_rate: of Adam (0.9, 0.999), the length of a move in each number of the noise; gradients are cut to norm 1
    before. The regulariser keeps the noise where Gaussian ones are, so its norm may change. block: how many numbers
    make a vector of the regulariser; shuffles: how many orders of the numbers it looks at in a round, drawn anew.
    The authors' script for Stable Diffusion also has a noise for every step, and AdamW's decay of weights; here the
    first noise alone is moved, through the ODE, which is theirs with eta = 0.
    Cost of S >= 1: c (S + 1) evaluations, all of them differentiated too.
    """

    learning_rate: float = 0.01
    regularisation: float = 1.0
    block: int = 4
    shuffles: int = 10
    name: ClassVar[str] = "DNO"

    def __post_init__(self) -> None:
        require("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0")
        require("regularisation", self.regularisation, self.regularisation >= 0, "at least 0 (none)")
        require("block", self.block, self.block >= 1, "at least 1")
        require("shuffles", self.shuffles, self.shuffles >= 0, "at least 0 (the numbers as they lie alone)")

    def init(self, problem: Problem, point: int) -> DNOState:
        self.refuse(problem.verifier)
        x, _, score, address, *_ = unsearched(problem)
        if self.block > x[0].numel() // 2:
            raise Refused(f"DNO: block={self.block}: at most half of the {x[0].numel()} numbers of a noise")
        return DNOState(0, x, x, score, address, x.new_zeros(x.shape), x.new_zeros(x.shape))

    def step(self, problem: Problem, state: DNOState) -> DNOState:
        score, gradient = scored_gradient(problem, state.x, lambda x: self.regularised(problem, x, state.round))
        length = gradient.flatten(1).norm(dim=1).clamp_min(1)
        gradient = gradient / length.view(-1, *[1] * (gradient.ndim - 1))
        mean = 0.9 * state.mean + 0.1 * gradient
        square = 0.999 * state.square + 0.001 * gradient**2
        number = state.round + 1
        move = mean / (1 - 0.9**number) / ((square / (1 - 0.999**number)) ** 0.5 + 1e-8)
        best = best_of(problem, state, score)
        return DNOState(number, state.x + self.learning_rate * move, *best, mean, square)

    def regularised(self, problem: Problem, x: Tensor, round: int) -> Tensor:
        """x [B, ...] -> [B], `regularisation` times the likeliness of its numbers as they lie, and its mean over the
        shuffles."""
        z = x.flatten(1)
        likely = likeliness(z[:, None], self.block)[:, 0]
        if self.shuffles:
            numbers = problem.uniform(self.shuffles * z.shape[1], round, "shuffle")
            orders = numbers.unflatten(1, (self.shuffles, -1)).argsort(2)
            shuffled = z[:, None].expand(orders.shape).gather(2, orders)
            likely = likely + likeliness(shuffled, self.block).mean(1)
        return self.regularisation * likely


def likeliness(z: Tensor, block: int) -> Tensor:
    """z [B, K, D] -> [B, K], at most 0: the logarithms of two bounds on how probable it is that Gaussian numbers are as
    far off (section 4, concentration inequalities), each at most 1.

    Of the m = D // block vectors of k = `block` numbers: log 2 - m |mean|^2 / (2 k), and log 2 - m s^2 / 2 with
    s = sqrt(1 + |covariance - 1|) - 1 - sqrt(k / m), at least 0, where |...| is the spectral norm.
    """
    import torch

    m = z.shape[2] // block
    vectors = z[..., : m * block].unflatten(2, (m, block))
    mean = math.log(2) - m * vectors.mean(2).square().sum(2) / (2 * block)
    covariance = vectors.transpose(2, 3) @ vectors / m
    off = torch.linalg.eigvalsh(covariance - torch.eye(block, dtype=z.dtype, device=z.device)).abs().amax(2)
    spread = ((1 + off).sqrt() - 1 - (block / m) ** 0.5).clamp_min(0)
    return mean.clamp_max(0) + (math.log(2) - m * spread**2 / 2).clamp_max(0)
