"""Verifiers that compare an image with its text under a CLIP (paper, section 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from noise_search.core.checks import require_precision
from noise_search.core.source import Hub
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor


class ImageText(Verifier):
    """The cosine of a CLIP's features of image and text, as `scaled` by its scorer.

    A subclass is a dataclass with the settings `file` and `precision`, and calls `from_hub` in its `__post_init__`.
    Cost: one forward of the image tower an image; every text is encoded once, and kept. Differentiable in the image. A
    text that is longer than the network reads is cut there, and told.
    """

    reads = ("texts",)
    differentiable = True
    file: str | None
    precision: str
    pad: ClassVar[bool] = False  # the whole image with black beside it, instead of its centre
    transformers: ClassVar[bool] = False  # texts are cleaned as its tokenizer does, not as OpenAI's
    prefix: str = ""  # before every text

    def from_hub(self, architecture: str, source: Hub, file_name: str, parameters: int) -> None:
        """architecture: open_clip's name; source: the repository whose file `file_name` holds the published weights;
        parameters: their number."""
        require_precision("precision", self.precision)
        self.architecture, self.source, self.file_name = architecture, source, file_name
        self.sources = () if self.file else (source,)
        self.weight_bytes = 4 * parameters
        self.name = self.named()

    def named(self) -> str:
        """The scorer with its weights, preprocessing and precision."""
        raise NotImplementedError

    def load(self, into: Surroundings) -> ImageText:
        from noise_search.networks.clip_text import TextFeatures
        from noise_search.networks.files import hub_file
        from noise_search.networks.precision import settled_precision
        from noise_search.networks.vision import Clip
        from noise_search.storage.atomic import sha256

        self.precision = settled_precision(self.precision, into.device)
        self.name = self.named()
        path = hub_file(self.file, self.source, self.file_name, "verifier.file")
        clip = Clip(self.architecture, str(path), self.precision, "verifier.file", self.pad).to(into.device)
        self.features, self.weights = clip, {f"{self.source.repo}:{self.file_name}": sha256(path)}
        self.texts = TextFeatures(clip, f"verifier {self.name}", self.prefix, self.transformers)
        if into.dataset is not None:
            texts = into.dataset.texts
            self.texts.tell_of_cut(texts if into.dataset.chosen is None else (texts[k] for k in into.dataset.chosen))
        return self

    def scaled(self, cosine: Tensor) -> Tensor:
        """The scorer's own scale."""
        raise NotImplementedError

    def score(self, candidates: Candidates) -> Tensor:
        b, k = candidates.images.shape[:2]
        if len(candidates.texts) != b:
            raise Refused(f"verifier {self.name}: compares images with texts: {len(candidates.texts)} for {b} images")
        images = self.features(candidates.images.flatten(0, 1)).unflatten(0, (b, k))
        return self.scaled((images * self.texts(candidates.texts)[:, None]).sum(2))
