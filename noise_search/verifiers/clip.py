"""CLIP verifiers: the zero-shot classifier's logit, and the self-supervised similarity (paper, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from noise_search.core.checks import require_one_of, require_precision
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.verifiers.classifier import OUTPUTS, class_scores
from noise_search.verifiers.self_supervised import SelfSupervised

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(eq=False)
class ClipZeroShot(Verifier):
    """Logit (scale * cosine to the class's text, over the 80 ImageNet templates) or probability of the conditioning
    class. Cost: one forward of the image tower an image; the texts are encoded once and kept on disk (80,000 for all of
    ImageNet; for a logit only those of the classes that the dataset draws on)."""

    backbone: str
    pretrained: str
    output: str = "logit"
    precision: str = "auto"

    differentiable = True
    reads = ("classes",)

    def __post_init__(self) -> None:
        require_one_of("output", self.output, OUTPUTS)
        require_precision("precision", self.precision)
        self.name = f"CLIP {self.backbone} zero-shot ({self.output})"

    def load(self, into: Surroundings) -> ClipZeroShot:
        from noise_search.networks.vision import Clip
        from noise_search.storage.cache import state_digest

        dataset = into.the_dataset(self.name)
        self.features = Clip(self.backbone, self.pretrained, self.precision).to(into.device)
        self.weights = {f"{self.backbone} {self.pretrained}": state_digest(self.features.net)}
        only_chosen = dataset.chosen and self.output == "logit"
        needed = dataset.chosen if dataset.chosen and only_chosen else list(range(len(dataset.texts)))
        texts = self.features.text_features([dataset.texts[k] for k in needed])
        text = texts.new_zeros(len(dataset.texts), texts.shape[1])
        text[needed] = texts
        self.text = self.features.scale * text.to(into.device)
        return self

    def score(self, candidates: Candidates) -> Tensor:
        return class_scores(self.features(candidates.images.flatten(0, 1)) @ self.text.T, candidates, self.output)


@dataclass(eq=False)
class ClipSimilarity(SelfSupervised):
    """Similarity of CLIP's image features of the image and of its early prediction."""

    backbone: str
    pretrained: str
    view: float
    precision: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_precision("precision", self.precision)

    def load(self, into: Surroundings) -> ClipSimilarity:
        from noise_search.networks.vision import Clip
        from noise_search.storage.cache import state_digest

        net = Clip(self.backbone, self.pretrained, self.precision).to(into.device)
        self.features, self.weights = net, {f"{self.backbone} {self.pretrained}": state_digest(net.net)}
        self.name = f"self-supervised CLIP {self.backbone} (similarity)"
        return self
