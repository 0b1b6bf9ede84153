"""GenEval: 553 prompts in six tasks (Ghosh et al., arXiv 2310.11513)."""

from pathlib import Path

from noise_search.core.dataset import Dataset
from noise_search.datasets.prompts import Part, published

URL = "https://raw.githubusercontent.com/djghosh13/geneval/main/prompts/evaluation_metadata.jsonl"


def geneval(file: str, classes: list[int] | None = None) -> Dataset:
    """file: the authors' JSONL, with keys prompt and tag. classes: numbers of the prompts."""
    part = Part(Path(file), URL, 553, "a photo of a bench", "prompt", "tag")
    return published("geneval", "dataset.file", [part], "MIT, as its repository says", classes)
