"""Oracles: verifiers that look through the metric's own network, so that each must improve its metric (figure 3)."""

import torch
from torch import Tensor

from noise_search.metrics.judges import Judge, tensor_to_images
from noise_search.verifiers.base import Candidates, Verifier


class OracleIS(Verifier):
    """Probability, 0 to 1, that the judge's own classifier gives the conditioning class. Cost: one judge forward."""

    def __init__(self, judge: Judge) -> None:
        self.judge, self.name, self.weights = judge, f"oracle IS ({judge.probe})", judge.weights

    def score(self, candidates: Candidates) -> Tensor:
        b, k = candidates.images.shape[:2]
        features = self.judge.features(tensor_to_images(candidates.images.flatten(0, 1)))
        p = torch.from_numpy(self.judge.probabilities(features)).float().to(candidates.labels.device)
        return p.gather(1, candidates.labels.repeat_interleave(k)[:, None]).view(b, k)
