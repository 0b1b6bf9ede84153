"""The LAION aesthetic predictor v2: a head on OpenAI's CLIP ViT-L/14 (paper, section 4). No text is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from noise_search.core.checks import require_precision
from noise_search.core.source import Url
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.errors import MissingFile, Refused
from noise_search.storage.atomic import sha256
from noise_search.verifiers.clipscore import BACKBONES, FILE

if TYPE_CHECKING:
    from torch import Tensor

HEAD = Url(
    "https://github.com/christophschuhmann/improved-aesthetic-predictor/raw/main/sac%2Blogos%2Bava1-l14-linearMSE.pth",
    "not settled",
    "weights/sac+logos+ava1-l14-linearMSE.pth",
    "21dd590f3ccdc646f0d53120778b296013b096a035a2718c9cb0d511bff0f1e0",
)
IMAGE_TOWER = 303_966_208  # parameters


@dataclass(eq=False)
class Aesthetic(Verifier):
    """About 1 to 10. file: the weights of CLIP; head: the head's, None: the published v2, known by its sha256.

    Cost: one forward of the image tower an image. Differentiable in the image.
    """

    file: str | None = None
    head: str | None = None
    precision: str = "float32"

    differentiable = True
    weight_bytes = 4 * IMAGE_TOWER

    def __post_init__(self) -> None:
        require_precision("precision", self.precision)
        self.architecture, self.source, _ = BACKBONES["L/14"]
        self.sources = (*((self.source,) * (not self.file)), *((HEAD,) * (not self.head)))
        self.name = self.named()

    def named(self) -> str:
        own = f", own head {Path(self.head).name}" if self.head else ""
        return f"aesthetic v2 (OpenAI ViT-L/14, 224 px centre crop, {self.precision}{own})"

    def load(self, into: Surroundings) -> Aesthetic:
        from noise_search.networks.files import hub_file
        from noise_search.networks.precision import settled_precision
        from noise_search.networks.vision import Clip

        self.precision = settled_precision(self.precision, into.device)
        self.name = self.named()
        head = self.find_head()
        path = hub_file(self.file, self.source, FILE, "verifier.file")
        self.features = Clip(self.architecture, str(path), self.precision, "verifier.file")
        del self.features.net.transformer, self.features.net.token_embedding  # of texts
        self.features.to(into.device)
        self.read_head(head, self.features.net.visual.output_dim, into.device)
        self.weights = {f"{self.source.repo}:{FILE}": sha256(path), Path(HEAD.target).name: sha256(head)}
        return self

    def find_head(self) -> Path:
        """Its file; unless it was given it must be the published one."""
        path = Path(self.head or HEAD.target)
        if not path.is_file():
            todo = "" if self.head else f": `wget -P weights {HEAD.url}`, or `noise-search prefetch` as this run"
            raise MissingFile(f"verifier.head={path}: there is no such file (the aesthetic predictor's head){todo}")
        if self.head is None and (digest := sha256(path)) != HEAD.sha256:
            raise Refused(f"{path}: not the published head (sha256 {digest[:16]}); give your own as verifier.head=...")
        return path

    def read_head(self, path: Path, width: int, device: str) -> None:
        """Its one affine map of `width` features."""
        from noise_search.networks.checkpoints import read_tensors
        from noise_search.networks.reward_head import WIDTHS, folded

        weight, bias = folded(read_tensors(path), f"verifier.head={path}", (width, *WIDTHS[1:]))
        self.weight, self.bias = weight.float().to(device), bias.float().to(device)

    def score(self, candidates: Candidates) -> Tensor:
        features = self.features(candidates.images.flatten(0, 1))
        return (features @ self.weight + self.bias).view(candidates.images.shape[:2])
