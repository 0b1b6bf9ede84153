"""The exact verifier of drawn scenes: what a caption demands, read back from the pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noise_search.core.verifier import Candidates, Verifier

if TYPE_CHECKING:
    from torch import Tensor


class ScenesOracle(Verifier):
    """The share of a caption's demands that an image meets, 0 to 1, which ranks candidates that are all wrong too; 1
    exactly where the judge counts the caption as satisfied. No network; about 4 ms an image on one CPU core."""

    reads = ("texts",)

    def __init__(self) -> None:
        self.name, self.weights = "scenes reader (share of demands met)", {}

    def score(self, candidates: Candidates) -> Tensor:
        import torch

        from noise_search.core.images import tensor_to_images
        from noise_search.scenes.language import parse
        from noise_search.scenes.read import read, share_met

        b, k = candidates.images.shape[:2]
        found = read(tensor_to_images(candidates.images.flatten(0, 1)))
        captions = [parse(text) for text in candidates.texts]
        shares = [share_met(captions[i // k], reading) for i, reading in enumerate(found)]
        return torch.tensor(shares, dtype=torch.float32, device=candidates.images.device).view(b, k)
