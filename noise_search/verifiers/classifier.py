"""Supervised verifiers: frozen features and a linear head; the score of the conditioning class (paper, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from noise_search.assets import asset
from noise_search.core.checks import require, require_one_of, require_precision
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.errors import Refused
from noise_search.storage.atomic import sha256

if TYPE_CHECKING:
    from torch import Tensor

OUTPUTS = ("logit", "probability", "log_probability")


def class_scores(logits: Tensor, candidates: Candidates, output: str) -> Tensor:
    """logits [B * K, classes] -> [B, K]: those of the conditioning class, its probability or that one's logarithm."""
    b, k = candidates.images.shape[:2]
    values = logits.softmax(1) if output == "probability" else logits
    if output == "log_probability":
        values = logits.log_softmax(1)
    return values.gather(1, candidates.condition.repeat_interleave(k)[:, None]).view(b, k)


@dataclass(eq=False)
class Classifier(Verifier):
    """EfficientNet-Lite `size` and the shipped CIFAR-10 head: the embedded twin of the paper's DINO and CLIP verifiers.

    output: "logit" (unbounded), "probability" (0 to 1) or "log_probability" (at most 0, in nats) of the class that the
    image was asked to show.
    resolution: pixels the image is enlarged to. precision: "float32" or "bfloat16". Cost: one forward an image.
    Differentiable in the image.
    """

    size: int
    resolution: int
    output: str = "logit"
    precision: str = "auto"
    head: str | None = None

    differentiable = True
    reads = ("classes",)
    class_set = "cifar10"

    def __post_init__(self) -> None:
        require("size", self.size, self.size in (0, 1, 2), "0, 1 or 2")
        require_one_of("output", self.output, OUTPUTS)
        require_precision("precision", self.precision)
        self.name = f"classifier Lite{self.size} ({self.output})"

    def load(self, into: Surroundings) -> Classifier:
        from noise_search.networks.efficientnet import EfficientNetLite, weights_path
        from noise_search.storage.weights import load_weights

        path = Path(self.head) if self.head else asset(f"classifier_lite{self.size}.safetensors")
        state, card = load_weights(path, "bias")
        trained = card["config"]
        if trained["resolution"] != self.resolution or trained["size"] != self.size:
            raise Refused(
                f"{path}: trained for Lite{trained['size']} at {trained['resolution']} px,"
                f" not for Lite{self.size} at {self.resolution} px"
            )
        self.weights = {file.name: sha256(file) for file in (path, weights_path(self.size))}
        self.features = EfficientNetLite(self.size, self.resolution, self.precision).to(into.device)
        self.weight, self.bias = state["weight"].to(into.device), state["bias"].to(into.device)
        return self

    @property
    def width(self) -> int:
        """How many numbers `features` makes of an image."""
        return self.weight.shape[1]

    def score(self, candidates: Candidates) -> Tensor:
        logits = self.features(candidates.images.flatten(0, 1)) @ self.weight.T + self.bias
        return class_scores(logits, candidates, self.output)
