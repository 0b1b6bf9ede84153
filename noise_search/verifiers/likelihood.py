"""The exact verifier of the toy: the log-likelihood of an image under its class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noise_search.core.verifier import Candidates, Surroundings, Verifier

if TYPE_CHECKING:
    from torch import Tensor


class Likelihood(Verifier):
    """log p(image | class) per pixel value, up to a constant, under the exact Gaussian mixture."""

    differentiable = True
    reads = ("classes",)
    class_set = "mixture"

    def __init__(self) -> None:
        self.name, self.weights = "likelihood", {}

    def load(self, into: Surroundings) -> Likelihood:
        from noise_search.networks.mixture import Mixture, coloured_waves

        mixture = coloured_waves()
        self.mixture = Mixture(mixture.means.to(into.device), mixture.std)
        return self

    def score(self, candidates: Candidates) -> Tensor:
        b, k = candidates.images.shape[:2]
        labels = candidates.condition.repeat_interleave(k)
        return self.mixture.log_likelihood(candidates.images.flatten(0, 1), labels).view(b, k)
