"""Self-supervised verifiers: how alike the finished image and an early prediction of it are (paper, section 3.1)."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from noise_search.core.verifier import Candidates, Verifier
from noise_search.networks.efficientnet import EfficientNetLite, weights_path
from noise_search.storage.atomic import sha256


class SelfSupervised(Verifier):
    """Cosine similarity, -1 to 1, between features of the image and of the clean prediction at t = `view`.

    features: images [N, 3, H, W] in [-1, 1] -> [N, D]. The prediction is the solver's own at its nearest knot, so it
    costs no evaluation. The label is not used. Cost: two forwards of the feature network an image.
    """

    def __init__(
        self,
        name: str,
        features: Callable[[Tensor], Tensor],
        view: float,
        weights: dict[str, str],
        differentiable: bool,
    ) -> None:
        if not 0 < view < 1:
            raise ValueError(f"verifier.view={view}: a noise level between 0 and 1, ends excluded")
        self.name, self.features, self.weights, self.needs = f"{name} (similarity)", features, weights, (view,)
        self.differentiable = differentiable

    def score(self, candidates: Candidates) -> Tensor:
        b, k = candidates.images.shape[:2]
        final = self.features(candidates.images.flatten(0, 1))
        early = self.features(candidates.views[:, :, 0].flatten(0, 1))
        return F.cosine_similarity(final, early, dim=1).view(b, k)


def classifier_ssl(
    size: int, resolution: int, view: float, precision: str = "bfloat16", device: str = "cpu"
) -> SelfSupervised:
    """On EfficientNet-Lite `size` at `resolution` pixels: the embedded twin of the paper's DINO and CLIP similarity."""
    net = EfficientNetLite(size, resolution, precision).to(device)
    path = weights_path(size)
    return SelfSupervised(f"self-supervised Lite{size}", net, view, {path.name: sha256(path)}, differentiable=True)
