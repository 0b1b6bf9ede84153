"""What a search is allowed to touch: the flow, the verifier, the noise, and which images it works for."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from noise_search.flow import Flow
from noise_search.grid import Grid
from noise_search.noise import normal
from noise_search.verifiers.base import Candidates, Verifier


@dataclass(frozen=True)
class Problem:
    """ids: the B image ids; labels: int64 [B]; shape: the latent shape; grid: the ODE grid of one search iteration."""

    flow: Flow
    verifier: Verifier
    ids: Sequence[int]
    labels: Tensor
    shape: tuple[int, ...]
    grid: Grid
    seed: int

    def noise(self, candidate: int, round: int = 0, tag: str = "noise") -> Tensor:
        """[B, ...] standard normal: draw number `candidate` of every image. Free of cost."""
        rows = normal(self.seed, self.ids, [candidate] * len(self.ids), self.shape, round, tag)
        return rows.to(self.labels.device)

    def evaluate(self, noise: Tensor) -> Tensor:
        """Scores [B, K], float32, of candidates noise [B, K, ...] at t = 1; grid.nfe evaluations a candidate."""
        b, k = noise.shape[:2]
        who = torch.arange(b, device=noise.device).repeat_interleave(k)
        images = self.flow.decode(self.flow.solve(noise.flatten(0, 1), self.grid, who))
        scores = self.verifier.score(Candidates(images.unflatten(0, (b, k)), self.labels))
        assert scores.shape == (b, k), scores.shape
        return scores
