"""Captions of small drawn scenes, in the six categories of T2I-CompBench; each has what no training picture shows."""

from noise_search.core.checks import require, whole
from noise_search.core.dataset import Dataset
from noise_search.scenes.language import CATEGORIES
from noise_search.scenes.sample import kept_captions


def scenes(each: int = 50, categories: list[str] | None = None, classes: list[int] | None = None) -> Dataset:
    """each: captions a category. categories: null for all six; they take turns. classes: numbers of captions."""
    require("each", each, whole(each) and 1 <= each <= 100, "a whole number from 1 to 100")
    names = list(CATEGORIES) if categories is None else categories
    good = bool(names) and not set(names) - set(CATEGORIES) and len(set(names)) == len(names)
    require("categories", categories, good, f"null, or some of {', '.join(CATEGORIES)}, each once")
    captions = kept_captions(each)
    texts = tuple(captions[name][i].text for i in range(each) for name in names)
    return Dataset("scenes", texts, classes, categories=tuple(names) * each)
