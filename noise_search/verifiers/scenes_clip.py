"""A dual encoder of drawn scenes and their captions: the embedded twin of CLIPScore, with its weaknesses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from noise_search.assets import asset
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.storage.atomic import sha256

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(eq=False)
class ScenesClip(Verifier):
    """Cosine between an image and its caption, -1 to 1.

    Trained contrastively on renders; it knows which things are there better than what belongs to what and what is where
    (its card tells how much). file: a file of weights; null: the shipped one. Cost: one forward an image, and one a
    caption.
    """

    file: str | None = None

    differentiable = True
    reads = ("texts",)

    def __post_init__(self) -> None:
        self.name = "scenes dual encoder"

    def load(self, into: Surroundings) -> ScenesClip:
        from noise_search.networks.scene_towers import load_dual_encoder
        from noise_search.scenes.language import LONGEST, VOCABULARY

        path = Path(self.file) if self.file else asset("scenes_clip.safetensors")
        self.net = load_dual_encoder(path, len(VOCABULARY), LONGEST).to(into.device)
        self.weights = {path.name: sha256(path)}
        return self

    def score(self, candidates: Candidates) -> Tensor:
        import torch

        from noise_search.scenes.language import padded_numbers

        seen = self.net.see(candidates.images.flatten(0, 1)).unflatten(0, candidates.images.shape[:2])
        words = torch.from_numpy(padded_numbers(candidates.texts)).long().to(candidates.images.device)
        return (seen * self.net.hear(words)[:, None]).sum(2)
