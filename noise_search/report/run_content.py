"""What report.html of one run is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from noise_search.measures.metric import Metric
from noise_search.report.figures import unknown
from noise_search.report.shelves import Shelf

SHOWN_COLUMNS = ["image_id", "point", "condition", "candidate", "scores_final", "png"]
BANK_COLUMNS = ["image_id", "point", "bank", "sheet"]


@dataclass(frozen=True)
class RunPage:
    """What a run's page is made of. metrics: by name; curve, floors, categories: rows of their CSV files; shown: rows
    of the first images, SHOWN_COLUMNS; facts: what was spent; made_with: weights and versions; banks: of the first
    `keep_bank`, BANK_COLUMNS at the largest point; columns: the verifiers of a bank; tell: (address, point) -> where a
    search found it, in words; names: of the classes, or the prompts; shelved: image id -> its picture; pictures:
    further PNG files."""

    title: str
    plan: str
    axis: str
    metrics: Mapping[str, Metric]
    curve: Sequence[dict[str, Any]]
    floors: Sequence[Mapping[str, Any]]
    shown: pa.Table
    names: Sequence[str]
    settings: str
    facts: Mapping[str, Any]
    made_with: Mapping[str, Any]
    tell: Callable[[int, int], str]
    categories: Sequence[Mapping[str, Any]] = ()
    banks: pa.Table | None = None
    columns: Sequence[str] = ()
    keep_bank: int = 0
    shelves: Sequence[Shelf] = ()
    shelved: Mapping[int, bytes] = field(default_factory=dict)
    pictures: Sequence[Path] = field(default_factory=list)

    @property
    def points(self) -> list[int]:
        return sorted({row["point"] for row in self.curve})

    @property
    def nfe(self) -> list[int]:
        found = {row["point"]: row["nfe"] for row in self.curve}
        return [found[point] for point in self.points]

    def metric(self, name: str) -> Metric:
        return self.metrics.get(name) or unknown(name)

    def rows_of(self, name: str) -> list[dict[str, Any]]:
        return [row for row in self.curve if row["metric"] == name]

    def images(self) -> list[list[dict[str, Any]]]:
        """The rows of each shown image, by point."""
        rows, each = self.shown.select(SHOWN_COLUMNS).to_pylist(), len(self.points)
        return [rows[at : at + each] for at in range(0, len(rows), each)]
