"""Self-supervised verifiers: how alike the finished image and an early prediction of it are (paper, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from noise_search.core.checks import require, require_precision
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.storage.atomic import sha256

if TYPE_CHECKING:
    from torch import Tensor


class SelfSupervised(Verifier):
    """Cosine similarity, -1 to 1, between features of the image and of the clean prediction at t = `view`.

    The prediction is the solver's own at its nearest knot, so it costs no evaluation. The label is not used. Cost: two
    forwards of the feature network an image. A subclass has the setting `view`, calls `__post_init__`, and its `load`
    sets name, weights and `features`: images [N, 3, H, W] in [-1, 1] -> [N, D].
    """

    differentiable = True
    view: float
    features: Callable[[Tensor], Tensor]

    def __post_init__(self) -> None:
        require("view", self.view, 0 < self.view < 1, "a noise level between 0 and 1, ends excluded")
        self.needs = (self.view,)

    def score(self, candidates: Candidates) -> Tensor:
        from torch.nn import functional as F

        assert candidates.views is not None
        b, k = candidates.images.shape[:2]
        final = self.features(candidates.images.flatten(0, 1))
        early = self.features(candidates.views[:, :, 0].flatten(0, 1))
        return F.cosine_similarity(final, early, dim=1).view(b, k)


@dataclass(eq=False)
class ClassifierSimilarity(SelfSupervised):
    """On EfficientNet-Lite `size` at `resolution` pixels: the embedded twin of the paper's DINO and CLIP similarity."""

    size: int
    resolution: int
    view: float
    precision: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        require("size", self.size, self.size in (0, 1, 2), "0, 1 or 2")
        require("resolution", self.resolution, self.resolution >= 32, "pixels, at least 32")
        require_precision("precision", self.precision)

    def load(self, into: Surroundings) -> ClassifierSimilarity:
        from noise_search.networks.efficientnet import EfficientNetLite, weights_path

        path = weights_path(self.size)
        self.features = EfficientNetLite(self.size, self.resolution, self.precision).to(into.device)
        self.weights = {path.name: sha256(path)}
        self.name = f"self-supervised Lite{self.size} (similarity)"
        return self
