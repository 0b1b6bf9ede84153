"""What a run's page shows beside its curve: where a search found its winners, and which images are worth a look."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from noise_search.core.algorithm import Algorithm, Telling
from noise_search.report.shelves import Seen, Shelf, from_data, shelves
from noise_search.run.parts import Parts
from noise_search.run.settings import SHOWN
from noise_search.storage.units import read_units, units

LOOKED = 1000  # images among which the shelves choose
COLUMNS = ("image_id", "condition", "scores_final", "features")


def told_address(algorithm: Algorithm) -> Callable[[int, int], str]:
    """(address, point) -> where a search for that point found it, in words, as far as it is known."""
    if isinstance(algorithm, Telling):
        return algorithm.tell
    return lambda candidate, point: f"address {candidate}" if candidate >= 0 else "the first noise"


def shelves_of(parts: Parts, folder: Path) -> list[Shelf]:
    """Of the first images whose pixels are kept, at the largest budget."""
    run, last = parts.run, parts.run.plan.purchases[-1].point
    count = min(run.settings.images, LOOKED if run.settings.keep_images else SHOWN)
    table = read_units(folder, COLUMNS, count, last)
    scores = np.array(table["scores_final"].to_pylist(), np.float64)
    features = np.stack([np.frombuffer(row, np.float32) for row in table["features"].to_pylist()])
    space = parts.judge.main
    seen = Seen(
        names=[run.dataset.texts[k] for k in table["condition"].to_pylist()],
        scores=scores,
        columns=[member or run.choices["verifier"] for member in parts.verifier.members],
        chooser=len(parts.verifier.members) - len(run.config["observers"]),
        distance=from_data(features[:, space.columns], space.gaussian) if space.reference else None,
    )
    return shelves(seen)


def pictures_of(parts: Parts, folder: Path, found: Sequence[Shelf]) -> dict[int, bytes]:
    """Image id -> its pixels at the largest budget, of all images of these shelves."""
    wanted, out = {item.image for shelf in found for item in shelf.items}, dict[int, bytes]()
    count = max(wanted, default=-1) + 1
    for unit in units(folder, ("image_id", "png"), count, parts.run.plan.purchases[-1].point):
        out |= {i: png.as_py() for i, png in zip(unit["image_id"].to_pylist(), unit["png"], strict=True) if i in wanted}
    return out
