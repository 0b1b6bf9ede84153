"""ImageReward: how well people would like an image for its text (Xu et al., arXiv 2304.05977; the paper, section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from noise_search.core.checks import require_precision
from noise_search.core.source import Hub
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.errors import MissingFile, Refused
from noise_search.storage.atomic import sha256

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(eq=False)
class ImageRewardVerifier(Verifier):
    """The normalised reward, about -2 to 2, of an image with its text. Differentiable in the image.

    file: the published ImageReward.pt; vocabulary: vocab.txt of bert-base-uncased. precision: "float32" or "bfloat16".
    Cost: one forward of ViT-L/16 at 224 pixels and of BERT an image. Texts are cut after 35 tokens, as published.
    """

    file: str
    vocabulary: str
    precision: str = "float32"

    differentiable = True
    reads = ("texts",)
    weight_bytes = 1_781_117_956

    def __post_init__(self) -> None:
        require_precision("precision", self.precision)
        self.name = self.named()
        weights = Hub("zai-org/ImageReward", r"ImageReward\.pt", self.file)
        self.sources = (weights, Hub("google-bert/bert-base-uncased", r"vocab\.txt", self.vocabulary))

    def named(self) -> str:
        return f"ImageReward 1.0 (224 px centre crop, {self.precision})"

    def load(self, into: Surroundings) -> ImageRewardVerifier:
        from noise_search.networks.imagereward import Words, load_imagereward

        for key, file in (("file", self.file), ("vocabulary", self.vocabulary)):
            if not Path(file).is_file():
                raise MissingFile(
                    f"verifier.{key}={file}: there is no such file; `noise-search prefetch` with the same options"
                    " fetches it"
                )
        self.name = self.named()  # in the precision that the run has settled
        self.net = load_imagereward(Path(self.file), self.precision).to(into.device)
        self.words = Words(Path(self.vocabulary), "verifier.vocabulary")
        if self.words.size > self.net.vocabulary:
            known = f"{self.words.size} words, the network knows {self.net.vocabulary}"
            raise Refused(f"verifier.vocabulary={self.vocabulary}: {known}")
        self.weights = {Path(file).name: sha256(Path(file)) for file in (self.file, self.vocabulary)}
        return self

    def score(self, candidates: Candidates) -> Tensor:
        b, k = candidates.images.shape[:2]
        tokens, mask = (x.to(candidates.images.device).repeat_interleave(k, 0) for x in self.words(candidates.texts))
        return self.net(candidates.images.flatten(0, 1), tokens, mask).view(b, k)
