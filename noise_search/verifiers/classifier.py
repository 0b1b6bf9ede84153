"""Supervised verifiers: frozen features and a linear head; the score of the conditioning class (paper, section 3.1)."""

from pathlib import Path

from torch import Tensor

from noise_search.assets import asset
from noise_search.core.verifier import Candidates, Verifier
from noise_search.networks.efficientnet import EfficientNetLite, weights_path
from noise_search.storage.atomic import sha256
from noise_search.storage.weights import load_weights

OUTPUTS = ("logit", "probability")


def require_output(output: str) -> None:
    if output not in OUTPUTS:
        raise ValueError(f"verifier.output={output!r}: one of {', '.join(OUTPUTS)}")


def class_scores(logits: Tensor, candidates: Candidates, output: str) -> Tensor:
    """logits [B * K, classes] -> [B, K]: those of the conditioning class, or its probability."""
    b, k = candidates.images.shape[:2]
    values = logits if output == "logit" else logits.softmax(1)
    return values.gather(1, candidates.condition.repeat_interleave(k)[:, None]).view(b, k)


class Classifier(Verifier):
    """EfficientNet-Lite `size` and the shipped CIFAR-10 head: the embedded twin of the paper's DINO and CLIP verifiers.

    output: "logit" (unbounded) or "probability" (0 to 1) of the class that the image was asked to show.
    resolution: pixels the image is enlarged to. precision: "float32" or "bfloat16". Cost: one forward an image.
    Differentiable in the image.
    """

    differentiable = True
    reads = ("classes",)

    def __init__(
        self,
        size: int,
        resolution: int,
        output: str = "logit",
        precision: str = "bfloat16",
        head: str | None = None,
        device: str = "cpu",
    ) -> None:
        require_output(output)
        self.name = f"classifier Lite{size} ({output})"
        self.output = output
        path = Path(head) if head else asset(f"classifier_lite{size}.safetensors")
        state, card = load_weights(path, "bias")
        trained = card["config"]
        if trained["resolution"] != resolution or trained["size"] != size:
            raise ValueError(
                f"{path}: trained for Lite{trained['size']} at {trained['resolution']} px,"
                f" not for Lite{size} at {resolution} px"
            )
        self.weights = {file.name: sha256(file) for file in (path, weights_path(size))}
        self.features = EfficientNetLite(size, resolution, precision).to(device)
        self.weight, self.bias = state["weight"].to(device), state["bias"].to(device)

    def score(self, candidates: Candidates) -> Tensor:
        logits = self.features(candidates.images.flatten(0, 1)) @ self.weight.T + self.bias
        return class_scores(logits, candidates, self.output)
