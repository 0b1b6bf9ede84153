"""Where curves are mirrored to. A logger is never the record: the run folder is."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from noise_search.errors import Refused


@dataclass(frozen=True)
class Record:
    """A finished run. curve: rows as in curve.csv; axis: their column that is the x axis; grids: point -> one uint8
    picture [H, W, 3] of the chosen images."""

    folder: Path
    config: dict[str, Any]
    curve: Sequence[Mapping[str, Any]]
    axis: str
    grids: Mapping[int, np.ndarray]


@runtime_checkable
class Logger(Protocol):
    def log(self, record: Record) -> bool:
        """Mirror a finished run; False if it did not work, which is told but is no error."""
        ...


class NoLogger:
    def log(self, record: Record) -> bool:
        return True


@dataclass(frozen=True)
class WandbLogger:
    """One wandb run whose charts are metric against NFE, or seconds an image on the device `seconds_on` of its config.

    Offline without a prompt unless the user is logged in.

    group: of runs; None: the sweep that a job belongs to, if it is one of a multirun.
    """

    project: str = "noise_search"
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    sweep: str | None = None

    def __post_init__(self) -> None:
        if find_spec("wandb") is None:
            raise Refused("logger=wandb: wandb is not installed; `pip install wandb` or use logger=none")

    def mode(self) -> Any:
        """WANDB_MODE if it is set; else online for a user who is logged in, offline for everybody else."""
        if chosen := os.environ.get("WANDB_MODE"):
            return chosen
        import wandb

        return "online" if wandb.login(prompt=False) else "offline"

    def log(self, record: Record) -> bool:
        try:
            self._log(record)
            return True
        except Exception as error:  # a mirror that fails must not end a run whose results are on disk
            print(f"wandb: {type(error).__name__}: {error}; the results are in {record.folder}", file=sys.stderr)
            return False

    def _log(self, record: Record) -> None:
        import wandb

        run = wandb.init(
            project=self.project,
            name=record.folder.name,
            group=self.group or self.sweep,
            tags=self.tags,
            config=record.config | {"seconds_on": record.curve[0].get("device")},
            dir=str(record.folder),
            mode=self.mode(),
            settings=wandb.Settings(silent=True, console="off"),
        )
        try:
            run.define_metric(record.axis, hidden=True)
            run.define_metric("*", step_metric=record.axis)
            for point, grid in record.grids.items():
                rows = [row for row in record.curve if row["point"] == point]
                values = {row["metric"]: row["value"] for row in rows if row["value"] is not None}
                run.log({record.axis: rows[0][record.axis], **values, "images": wandb.Image(grid)})
        finally:
            run.finish()
