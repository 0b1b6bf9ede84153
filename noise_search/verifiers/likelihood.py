"""The exact verifier of the toy: the log-likelihood of an image under its class."""

from torch import Tensor

from noise_search.core.verifier import Candidates, Verifier
from noise_search.networks.mixture import Mixture, coloured_waves


class Likelihood(Verifier):
    """log p(image | class) per pixel value, up to a constant, under the exact Gaussian mixture."""

    differentiable = True
    reads = ("classes",)

    def __init__(self, device: str = "cpu") -> None:
        mixture = coloured_waves()
        self.name, self.weights = "likelihood", dict[str, str]()
        self.mixture = Mixture(mixture.means.to(device), mixture.std)

    def score(self, candidates: Candidates) -> Tensor:
        b, k = candidates.images.shape[:2]
        labels = candidates.condition.repeat_interleave(k)
        return self.mixture.log_likelihood(candidates.images.flatten(0, 1), labels).view(b, k)
