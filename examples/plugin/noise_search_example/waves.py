"""The toy mixture, told its class in words: a model, its prompts, a verifier that reads them and a judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from noise_search.core.dataset import Dataset
from noise_search.core.model import Model
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.errors import MissingFile, Refused
from noise_search.measures.judge import Judge, JudgeSettings
from noise_search.metrics.pixels import Pixels
from noise_search.models.toy import Toy

if TYPE_CHECKING:  # a plan is made without torch
    from torch import Tensor

    from noise_search.core.denoiser import Condition, Prediction

NAMES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def wave_of(text: str) -> int:
    """The class that a text names, the first one if there are several; len(NAMES), any, if there is none."""
    return next((NAMES.index(word) for word in text.lower().split() if word in NAMES), len(NAMES))


@dataclass(frozen=True, kw_only=True)
class PromptToy(Toy):
    """The mixture behind an encoder of texts: one-hot [B, classes + 1], the last for a text that names no class."""

    class_set = None  # type: ignore[assignment,misc]

    @property
    def classes(self) -> int | None:  # type: ignore[override]
        return None

    def load(self, device: str = "cpu") -> Model:
        import torch

        model = Toy(name=self.name, interpolant=self.interpolant).load(device)

        def encode(texts: Sequence[str]) -> Condition:
            return (torch.eye(len(NAMES) + 1, device=device)[[wave_of(text) for text in texts]],)

        def network(x: Tensor, t: Tensor, hot: Tensor) -> Prediction:
            return model.network(x, t, hot.argmax(1))

        return self.model(network, model.interpolant, model.decoder, model.batch_size, encode=encode)


def prompts(file: str | None = None, classes: list[int] | None = None) -> Dataset:
    """The lines of a text file, by default of the one in this package."""
    path = Path(file) if file else Path(__file__).with_name("prompts.txt")
    if not path.is_file():
        raise MissingFile(f"dataset.file={path}: there is no such file")
    try:
        lines = path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise Refused(f"dataset.file={path}: not a text in UTF-8") from error
    return Dataset("prompts_toy", tuple(line.strip() for line in lines if line.strip()), classes)


class WordLikelihood(Verifier):
    """log p(image | the class that its text names) per pixel value, up to a constant, under the exact mixture."""

    differentiable = True
    reads = ("texts",)

    def __init__(self) -> None:
        self.name, self.weights = "word likelihood", {}

    def load(self, into: Surroundings) -> WordLikelihood:
        from noise_search.networks.mixture import Mixture, coloured_waves

        mixture = coloured_waves()
        self.mixture = Mixture(mixture.means.to(into.device), mixture.std)
        return self

    def score(self, candidates: Candidates) -> Tensor:
        b, k = candidates.images.shape[:2]
        labels = candidates.condition.new_tensor([wave_of(text) for text in candidates.texts]).repeat_interleave(k)
        return self.mixture.log_likelihood(candidates.images.flatten(0, 1), labels).view(b, k)


class PromptPixels(JudgeSettings):
    """The toy's judge without what wants classes, which prompts have none of."""

    def load(self, device: str = "cpu") -> Judge:
        judge = Pixels().load(device)
        return replace(judge, metrics=[metric for metric in judge.metrics if not metric.needs_classes], columns_of=None)
