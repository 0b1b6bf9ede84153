"""A vision-language model in a folder of this machine, through transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noise_search.core.checks import require, require_one_of, whole
from noise_search.core.source import Hub
from noise_search.errors import MissingFile
from noise_search.verifiers.vlm_model import VisionLanguageModel


@dataclass(eq=False)
class Local(VisionLanguageModel):
    """folder: of any model that transformers calls image-text-to-text, in safetensors, with its processor and chat
    template. repo: of the hub, where the folder is fetched from; null: it is your own. longest: tokens of an answer.

    Cost of a question: what the model takes to read it with its images, and to write the answer; one at a time.
    """

    folder: str
    repo: str | None = None
    precision: str = "bfloat16"
    longest: int = 200

    def __post_init__(self) -> None:
        require_one_of("precision", self.precision, ("bfloat16", "float32"))
        require("longest", self.longest, whole(self.longest) and self.longest >= 1, "tokens, at least 1")
        path = Path(self.folder)
        self.name = path.name
        if self.repo:
            self.sources = (Hub(self.repo, r"[^/]*\.(safetensors|json|txt|jinja|model)", f"{self.folder}/"),)
        held = [file.stat().st_size for file in path.glob("*.safetensors")]
        self.weight_bytes = sum(held) * (2 if self.precision == "float32" else 1) if held else None

    def load(self, device: str) -> None:
        from noise_search.networks.vision_language import VisionLanguage, files_of

        path, hint = Path(self.folder), ""
        if not (path / "config.json").is_file():
            hint = "; `noise-search prefetch` with the same options fetches it" if self.repo else ""
            raise MissingFile(f"verifier.model.folder={path}: there is no folder of a model with a config.json{hint}")
        self.net: Any = VisionLanguage(path, self.precision, device, "verifier.model.folder")
        self.weights = files_of(path)
        self.identity = f"{self.precision} {sorted(self.weights.items())} {self.net.library}"

    def answer(self, question: str, images: Sequence[bytes]) -> str:
        return str(self.net.answer(question, images, self.longest))

    def log_yes(self, question: str, images: Sequence[bytes]) -> float:
        return float(self.net.log_yes(question, images))
