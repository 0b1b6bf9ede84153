"""CLIP verifiers: the zero-shot classifier's logit, and the self-supervised similarity (paper, section 3.1)."""

from torch import Tensor

from noise_search.core.dataset import Dataset
from noise_search.core.verifier import Candidates, Verifier
from noise_search.networks.vision import Clip
from noise_search.storage.cache import state_digest
from noise_search.verifiers.classifier import class_scores, require_output
from noise_search.verifiers.self_supervised import SelfSupervised


class ClipZeroShot(Verifier):
    """Logit (scale * cosine to the class's text, over the 80 ImageNet templates) or probability of the conditioning
    class. Cost: one forward of the image tower an image; the texts are encoded once and kept on disk (80,000 for all of
    ImageNet; for a logit only those of the classes that the dataset draws on)."""

    differentiable = True
    reads = ("classes",)

    def __init__(
        self,
        dataset: Dataset,
        backbone: str,
        pretrained: str,
        output: str = "logit",
        precision: str = "bfloat16",
        device: str = "cpu",
    ) -> None:
        require_output(output)
        self.output, self.name = output, f"CLIP {backbone} zero-shot ({output})"
        self.features = Clip(backbone, pretrained, precision).to(device)
        self.weights = {f"{backbone} {pretrained}": state_digest(self.features.net)}
        needed = dataset.chosen if dataset.chosen and output == "logit" else list(range(len(dataset.texts)))
        texts = self.features.text_features([dataset.texts[k] for k in needed])
        text = texts.new_zeros(len(dataset.texts), texts.shape[1])
        text[needed] = texts
        self.text = self.features.scale * text.to(device)

    def score(self, candidates: Candidates) -> Tensor:
        return class_scores(self.features(candidates.images.flatten(0, 1)) @ self.text.T, candidates, self.output)


def clip_ssl(
    backbone: str, pretrained: str, view: float, precision: str = "bfloat16", device: str = "cpu"
) -> SelfSupervised:
    """Similarity of the image features of the image and of its early prediction."""
    net = Clip(backbone, pretrained, precision).to(device)
    weights = {f"{backbone} {pretrained}": state_digest(net.net)}
    return SelfSupervised(f"self-supervised CLIP {backbone}", net, view, weights, differentiable=True)
