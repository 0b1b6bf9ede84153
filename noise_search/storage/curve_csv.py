"""The columns of curve.csv and the tables beside it, and how such a file is written."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from noise_search.storage.atomic import write_text

SECONDS = ("seconds", "seconds_search", "seconds_final", "device")  # the only columns that a second run changes
COLUMNS = (
    *("model", "dataset", "algorithm", "verifier", "draft", "cfg_scale", "seed", "point", "nfe", "nfe_paper"),
    *(
        "nfe_search",
        "nfe_final",
        "nfe_backward",
        "network_rows",
        "gflops",
        *SECONDS,
        "n_images",
        "metric",
        "network",
        "reference",
    ),
    *("value", "ci_low", "ci_high", "weights"),
)
CATEGORY_COLUMNS = ("category", "point", "nfe", "metric", "n_images", "value", "ci_low", "ci_high")
FLOOR_COLUMNS = ("kind", "metric", "n_images", "images", "value", "ci_low", "ci_high")


def write_csv(path: Path, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    """Rows with `columns`; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def numbers(path: Path) -> list[dict[str, str]]:
    """The rows of a curve.csv without the clock's columns: what a second run gives again, digit for digit."""
    with path.open() as file:
        return [{k: v for k, v in row.items() if k not in SECONDS} for row in csv.DictReader(file)]
