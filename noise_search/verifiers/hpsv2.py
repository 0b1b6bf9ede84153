"""Human Preference Score 2.0 and 2.1 (Wu et al., arXiv 2306.09341)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from noise_search.core.checks import require_one_of
from noise_search.core.source import Hub
from noise_search.verifiers.image_text import ImageText
from noise_search.verifiers.pickscore import PARAMETERS

if TYPE_CHECKING:
    from torch import Tensor

FILES = {"2.0": "HPS_v2_compressed.pt", "2.1": "HPS_v2.1_compressed.pt"}


@dataclass(eq=False)
class HPSv2(ImageText):
    """The cosine itself, about 0.2 to 0.35. version: "2.0" or "2.1", two sets of weights, two scales. file: the weights
    of that version. What is not square is seen whole, with black beside it, as its authors' evaluation does."""

    version: str = "2.1"
    file: str | None = None
    precision: str = "float32"

    pad = True

    def __post_init__(self) -> None:
        require_one_of("version", self.version, tuple(FILES))
        file = FILES[self.version]
        self.from_hub("ViT-H-14", Hub("xswu/HPSv2", file.replace(".", r"\."), "weights/HPSv2/"), file, PARAMETERS)

    def named(self) -> str:
        return f"HPS v{self.version} (ViT-H/14, 224 px padded, {self.precision})"

    def scaled(self, cosine: Tensor) -> Tensor:
        return cosine
