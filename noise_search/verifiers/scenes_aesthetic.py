"""How much like a clean drawing an image is, whatever it was to show: the embedded twin of the aesthetic predictor."""

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
class ScenesAesthetic(Verifier):
    """The log-odds that an image is a render as it was drawn, not a damaged one. It reads no text. file: a file of
    weights; null: the shipped one. Cost: one forward an image."""

    file: str | None = None

    differentiable = True

    def __post_init__(self) -> None:
        self.name = "scenes critic"

    def load(self, into: Surroundings) -> ScenesAesthetic:
        from noise_search.networks.scene_towers import load_critic

        path = Path(self.file) if self.file else asset("scenes_aesthetic.safetensors")
        self.net = load_critic(path).to(into.device)
        self.weights = {path.name: sha256(path)}
        return self

    def score(self, candidates: Candidates) -> Tensor:
        return self.net(candidates.images.flatten(0, 1)).view(candidates.images.shape[:2])
