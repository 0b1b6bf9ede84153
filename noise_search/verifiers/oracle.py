"""Oracles: verifiers that look through the metric's own network, so that each must improve its metric (figure 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.measures.judge import Judge


class OracleIS(Verifier):
    """Probability, 0 to 1, that the judge's own classifier gives the conditioning class. Cost: one judge forward."""

    reads = ("classes",)
    needs_judge = True

    def load(self, into: Surroundings) -> OracleIS:
        import torch

        judge: Judge = into.judge
        if judge.columns_of is None:
            raise Refused(f"verifier=oracle_is: give metrics.label_map, the classes of the outputs of {judge.probe}")
        self.judge, self.name, self.weights = judge, f"oracle IS ({judge.probe})", judge.weights
        self.columns_of = torch.from_numpy(judge.columns_of)
        return self

    def score(self, candidates: Candidates) -> Tensor:
        import torch

        from noise_search.core.images import tensor_to_images

        b, k = candidates.images.shape[:2]
        features = self.judge.features(tensor_to_images(candidates.images.flatten(0, 1)))
        p = torch.from_numpy(self.judge.probabilities(features)).float().to(candidates.condition.device)
        columns = self.columns_of.to(p.device)[candidates.condition].repeat_interleave(k)
        return p.gather(1, columns[:, None]).view(b, k)
