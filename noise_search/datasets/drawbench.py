"""DrawBench: 200 prompts in eleven categories (Saharia et al., arXiv 2205.11487). Its licence is not known."""

from pathlib import Path

from noise_search.core.dataset import Dataset
from noise_search.datasets.prompts import Part, published

URL = "https://docs.google.com/spreadsheets/d/1y7nAbmR4FREi6npB1u-Bo3GFdwdOPYJc617rBOxIRHY/gviz/tq?tqx=out:csv"


def drawbench(file: str, classes: list[int] | None = None) -> Dataset:
    """file: the authors' table as CSV, with columns Prompts and Category. classes: numbers of the prompts."""
    part = Part(Path(file), URL, 200, "A red colored car.", "prompts", "category")
    return published("drawbench", "dataset.file", [part], "unknown", classes)
