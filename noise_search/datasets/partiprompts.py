"""PartiPrompts: 1,632 prompts in twelve categories (Yu et al., arXiv 2206.10789)."""

from pathlib import Path

from noise_search.core.dataset import Dataset
from noise_search.datasets.prompts import Part, published

URL = "https://raw.githubusercontent.com/google-research/parti/main/PartiPrompts.tsv"


def partiprompts(file: str, classes: list[int] | None = None) -> Dataset:
    """file: the authors' TSV, with columns Prompt and Category. classes: numbers of the prompts."""
    part = Part(Path(file), URL, 1632, "bond", "prompt", "category")
    return published("partiprompts", "dataset.file", [part], "Apache-2.0, as its repository says", classes)
