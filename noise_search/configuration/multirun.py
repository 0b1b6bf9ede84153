"""The jobs of a multirun: what they are called together, which there are, which of them are not complete."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from noise_search.errors import Refused
from noise_search.report.loggers import Logger, SweepLogger
from noise_search.run.instantiate import build
from noise_search.storage.run_folder import finished_images, noted

SWEEP = "NOISE_SEARCH_SWEEP"  # environment variable: the sweep that a job belongs to


def sweep_name(arguments: Sequence[str] | None = None) -> str:
    """ "sweep-" and ten hexadecimal digits over the overrides of a multirun, the same in every job of it.

    arguments: of the command that started it, which hands the name down to its jobs in the environment.
    """
    if arguments is not None:
        text = json.dumps(sorted(a for a in arguments if not a.startswith("-")))
        os.environ[SWEEP] = f"sweep-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
    return os.environ[SWEEP]


class Sweep(Callback):
    """Looks at the disk when a multirun has ended. A launcher's word is not enough: submitit and SLURM call a job a
    success when one of its workers is, and know nothing of what was written."""

    incomplete: ClassVar[list[Path]] = []

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        jobs = noted(Path(config.hydra.sweep.dir) / sweep_name())
        for run, images in jobs.items():
            done = finished_images(run)
            if done is None or str(done[0]) != images:
                self.incomplete.append(run)
        if len(jobs) > 1 and not self.incomplete:
            mirror(config, Path(config.hydra.sweep.dir) / sweep_name())

    @classmethod
    def refuse_incomplete(cls) -> None:
        if cls.incomplete:
            names = ", ".join(map(str, cls.incomplete))
            raise Refused(f"{len(cls.incomplete)} jobs are not complete: {names}; the same command goes on")


def mirror(config: DictConfig, sweep: Path) -> None:
    """The combined curve of a finished sweep to the logger of its jobs, if that takes it."""
    logger = build(OmegaConf.to_container(config.logger, resolve=True), "logger", Logger, sweep=sweep.name)
    if isinstance(logger, SweepLogger):
        logger.log_sweep(sweep, config.axis)
