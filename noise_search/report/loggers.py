"""Where curves are mirrored to. A logger is never the record: the run folder is."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from noise_search.errors import Refused


@dataclass(frozen=True)
class Record:
    """A finished run. choices: group -> the name of its choice; curve: rows as in curve.csv; axis: their column that is
    the x axis; grids: point -> one uint8 picture [H, W, 3] of the chosen images."""

    folder: Path
    config: dict[str, Any]
    choices: Mapping[str, str]
    curve: Sequence[Mapping[str, Any]]
    axis: str
    grids: Mapping[int, np.ndarray]


@runtime_checkable
class Logger(Protocol):
    def log(self, record: Record) -> bool:
        """Mirror a finished run; False if it did not work, which is told but is no error."""
        ...


@runtime_checkable
class SweepLogger(Protocol):
    def log_sweep(self, folder: Path, axis: str) -> bool:
        """Mirror the combined curve (curve.csv) of a finished sweep; False if it did not work."""
        ...


class NoLogger:
    def log(self, record: Record) -> bool:
        return True


@dataclass(frozen=True)
class WandbLogger:
    """One wandb run whose charts are metric against NFE, or seconds an image on the device `seconds_on` of its config;
    its job type is the algorithm, its tags begin with model, dataset and verifier. A sweep gets one run more, of the
    job type "sweep", with a chart of all its curves for every metric.

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
        choices = record.choices
        tags = [*(choices[group] for group in ("model", "dataset", "verifier")), *self.tags]
        config = record.config | {"seconds_on": record.curve[0].get("device")}

        def write(run: Any) -> None:
            import wandb

            run.define_metric(record.axis, hidden=True)
            run.define_metric("*", step_metric=record.axis)
            for point, grid in record.grids.items():
                rows = [row for row in record.curve if row["point"] == point]
                values = {row["metric"]: row["value"] for row in rows if row["value"] is not None}
                run.log({record.axis: rows[0][record.axis], **values, "images": wandb.Image(grid)})

        return self.mirror(record.folder, choices["algorithm"], tags, config, write)

    def log_sweep(self, folder: Path, axis: str) -> bool:
        def write(run: Any) -> None:
            from wandb.plot import line_series

            from noise_search.report.combined import combined_curves

            for name, curves in combined_curves(folder, axis).items():
                spent = [spent for spent, _ in curves.values()]
                means = [[sum(each) / len(each) for each in values] for _, values in curves.values()]
                chart = line_series(xs=spent, ys=means, keys=list(curves), title=f"{name} against {axis}", xname=axis)
                run.log({f"sweep/{name}": chart})

        return self.mirror(folder, "sweep", self.tags, {"axis": axis}, write)

    def mirror(
        self, folder: Path, job_type: str, tags: Sequence[str], config: dict[str, Any], write: Callable[[Any], None]
    ) -> bool:
        """A wandb run in `folder` with what `write` logs. One that fails is told, and ends nothing: the results are on
        the disk."""
        try:
            import wandb

            run = wandb.init(
                project=self.project,
                name=folder.name,
                group=self.group or self.sweep,
                job_type=job_type,
                tags=list(dict.fromkeys(tags)),
                config=config,
                dir=str(folder),
                mode=self.mode(),
                settings=wandb.Settings(silent=True, console="off"),
            )
            try:
                write(run)
            finally:
                run.finish()
            return True
        except Exception as error:
            print(f"wandb: {type(error).__name__}: {error}; the results are in {folder}", file=sys.stderr)
            return False
