"""Where curves are mirrored to. A logger is never the record: the run folder is."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np


class Logger(Protocol):
    def log(
        self,
        folder: Path,
        name: str,
        config: dict[str, Any],
        curve: Sequence[Mapping[str, Any]],
        grids: dict[int, np.ndarray],
    ) -> None:
        """curve: rows as in curve.csv; grids: point -> one uint8 picture [H, W, 3] of the sampled images."""


class NoLogger:
    def log(
        self,
        folder: Path,
        name: str,
        config: dict[str, Any],
        curve: Sequence[Mapping[str, Any]],
        grids: dict[int, np.ndarray],
    ) -> None:
        """Nothing."""


class WandbLogger:
    """One wandb run whose charts are metric against NFE. Offline without a prompt unless the user is logged in."""

    def __init__(self, project: str = "noise_search", group: str | None = None, tags: Sequence[str] = ()) -> None:
        try:
            import wandb
        except ImportError as error:
            raise ValueError("logger=wandb: wandb is not installed; `pip install wandb` or use logger=none") from error
        self.wandb, self.project, self.group, self.tags = wandb, project, group, list(tags)

    def mode(self) -> Any:
        """WANDB_MODE if it is set; else online for a user who is logged in, offline for everybody else."""
        if chosen := os.environ.get("WANDB_MODE"):
            return chosen
        return "online" if self.wandb.login(prompt=False) else "offline"

    def log(
        self,
        folder: Path,
        name: str,
        config: dict[str, Any],
        curve: Sequence[Mapping[str, Any]],
        grids: dict[int, np.ndarray],
    ) -> None:
        try:
            self._log(folder, name, config, curve, grids)
        except Exception as error:  # a mirror that fails must not end a run whose results are on disk
            print(f"wandb: {type(error).__name__}: {error}; the results are in {folder}", file=sys.stderr)

    def _log(
        self,
        folder: Path,
        name: str,
        config: dict[str, Any],
        curve: Sequence[Mapping[str, Any]],
        grids: dict[int, np.ndarray],
    ) -> None:
        settings = self.wandb.Settings(silent=True, console="off")
        run = self.wandb.init(
            project=self.project,
            name=name,
            group=self.group,
            tags=self.tags,
            config=config,
            dir=str(folder),
            mode=self.mode(),
            settings=settings,
        )
        run.define_metric("nfe", hidden=True)
        run.define_metric("*", step_metric="nfe")
        for point in dict.fromkeys(row["point"] for row in curve):
            rows = [row for row in curve if row["point"] == point]
            values = {row["metric"]: row["value"] for row in rows if row["value"] is not None}
            run.log({"nfe": rows[0]["nfe"], **values, "images": self.wandb.Image(grids[point])})
        run.finish()
