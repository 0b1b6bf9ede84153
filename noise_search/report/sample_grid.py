"""The paper's sample figures, 17 to 23: one line a condition, one column a budget, the same seed throughout."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import numpy as np
from PIL import Image

from noise_search.errors import Refused
from noise_search.report.figures import FORMS, blank, save
from noise_search.storage.units import read_units


def sample_grid(
    run: Path, texts: list[str], into: Path, name: str, title: str, forms: Sequence[str] = FORMS[:2], images: int = 6
) -> Path:
    """Write into/<name> in these forms: the first `images` of a run at each of its budgets; returns the first. texts:
    of the run's conditions."""
    table = read_units(run, ["image_id", "point", "condition", "nfe_search", "nfe_final", "png"], below=images)
    rows = table.to_pylist()
    if any(row["png"] is None for row in rows):
        raise Refused(f"{run}: it has no images (keep_images=false)")
    points = sorted({row["point"] for row in rows})
    sheet = blank(1.05 * len(points) + 1.0, 1.05 * images + 0.6)
    grid = sheet.subplots(images, len(points), squeeze=False)
    for row in rows:
        axes = grid[row["image_id"], points.index(row["point"])]
        picture = np.asarray(Image.open(io.BytesIO(row["png"])))
        axes.imshow(picture, interpolation="nearest" if picture.shape[0] < 128 else "antialiased")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        if row["image_id"] == 0:
            axes.set_title(f"{row['nfe_search'] + row['nfe_final']:,} NFE", fontsize=8)
        if row["point"] == points[0]:
            axes.set_ylabel(fill(texts[row["condition"]], 16), fontsize=7, rotation=0, ha="right", va="center")
    lines = title.splitlines()
    sheet.suptitle("\n".join(fill(line, int(16 * sheet.get_figwidth())) for line in lines), fontsize=9)
    return save(sheet, into, name, forms)
