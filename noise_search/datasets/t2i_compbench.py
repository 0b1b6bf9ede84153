"""T2I-CompBench: validation prompts, 300 a category (Huang et al., arXiv 2307.06350)."""

from pathlib import Path

from noise_search.core.checks import require
from noise_search.core.dataset import Dataset
from noise_search.datasets.prompts import Part, published

URL = "https://raw.githubusercontent.com/Karine-Huang/T2I-CompBench/main/examples/dataset/{}_val.txt"
CATEGORIES = ("color", "shape", "texture", "spatial", "numeracy", "complex", "non_spatial", "3d_spatial")
FIRST = {
    "color": "a green bench and a blue bowl",
    "complex": "The red hat was on top of the brown coat rack.",
}


def t2i_compbench(folder: str, categories: list[str], classes: list[int] | None = None) -> Dataset:
    """folder: of the authors' {category}_val.txt. categories: whose prompts, one category after the other; classes:
    numbers of the prompts among them. The paper has six categories, 1,800 prompts, and two images of each."""
    good = bool(categories) and not set(categories) - set(CATEGORIES) and len(set(categories)) == len(categories)
    require("categories", categories, good, f"some of {', '.join(CATEGORIES)}, each once")
    parts = [
        Part(Path(folder) / f"{name}_val.txt", URL.format(name), 300, FIRST.get(name), named=name)
        for name in categories
    ]
    return published("t2i_compbench", "dataset.folder", parts, "MIT", classes)
