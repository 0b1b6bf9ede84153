"""What a benchmark's categories are told apart by: the mean of every number of an image, by category and budget."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from noise_search.measures.metric import SCORES, mean_of
from noise_search.run.evaluate import cells
from noise_search.run.parts import Parts
from noise_search.storage.units import read_units

READ = ("image_id", "condition", "scores", "scores_final", "measures")


def by_category(parts: Parts, folder: Path) -> list[dict[str, Any]]:
    """Rows of categories.csv: verifier scores and the judge's metrics of images; none where there are no categories."""
    categories, out = parts.run.dataset.categories, list[dict[str, Any]]()
    if not len(categories):
        return out
    for p in parts.run.plan.purchases:
        table = read_units(folder, READ, parts.run.settings.images, p.point)
        named = [categories[k] for k in table["condition"].to_pylist()]
        for metric, values in columns_of(parts, table.to_pydict()):
            rows = means(named, values)
            out += [{"category": name, "point": p.point, "nfe": p.nfe, "metric": metric, **row} for name, row in rows]
    return out


def columns_of(parts: Parts, table: dict[str, list[Any]]) -> Iterator[tuple[str, np.ndarray]]:
    """(metric, its number of each image)."""
    for kind, name in zip(SCORES, ("scores", "scores_final"), strict=False):
        for v, member in enumerate(parts.verifier.members):
            yield f"{kind}/{member}" if member else kind, np.array([row[v] for row in table[name]], np.float64)
    images = [metric.name for metric in parts.judge.metrics if metric.of_images is not None]
    for v, name in enumerate(images):
        yield name, np.array([row[v] for row in table["measures"]], np.float64)


def means(named: Sequence[str], values: np.ndarray) -> Iterator[tuple[str, dict[str, Any]]]:
    """(category, the mean of its images with its interval), categories in the order in which they first come."""
    for name in dict.fromkeys(named):
        chosen = values[[other == name for other in named]]
        yield name, cells(mean_of(chosen), len(chosen))
