"""A search that is cut off goes on where it was: what is known of the images that a worker is at, saved meanwhile."""

from __future__ import annotations

import io
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noise_search.core.algorithm import Result
from noise_search.core.driver import Mark, Readout, Spent
from noise_search.core.problem import Problem
from noise_search.core.stopwatch import by_stage, spans_of
from noise_search.run.parts import Parts
from noise_search.run.render import Key
from noise_search.run.sheets import Sheets
from noise_search.storage.checked import Damaged, read_checked, write_checked

log = logging.getLogger("noise_search")
EVERY = 30.0  # seconds between two


@dataclass
class Halfway:
    """state: of the search that `readouts` lacks; begun: where the counts stood when it began. finals: winners that
    have been rendered. searched: is only rendering left?"""

    begun: Mark
    state: Any = None
    searched: bool = False
    readouts: list[Readout] = field(default_factory=list)
    finals: dict[Key, dict[str, Any]] = field(default_factory=dict)


class Checkpoint:
    """Of one group of images, in a file of the run's folder."""

    def __init__(self, parts: Parts, problem: Problem, folder: Path) -> None:
        self.parts, self.problem, self.saved = parts, problem, time.monotonic()
        self.path = folder / "checkpoints" / f"{problem.ids[0]:08d}-{problem.ids[-1]:08d}.bin"

    @property
    def made_with(self) -> dict[str, Any]:
        """What must be the same for whoever goes on."""
        points = [p.point for p in self.parts.run.plan.purchases]
        keep = self.parts.run.settings.keep_bank
        return {**self.parts.footer, "points": points, "ids": list(self.problem.ids), "keep_bank": keep}

    def load(self) -> Halfway | None:
        """What was saved last, if it is whole and of this run; the problem's meters say again what they said then."""
        try:
            saved = torch.load(io.BytesIO(read_checked(self.path)), weights_only=True)
        except (FileNotFoundError, Damaged):
            return None
        if saved["made_with"] != self.made_with:
            return None
        problem, device = self.problem, self.problem.device
        for meter, count in zip(meters_of(problem), saved["counts"], strict=True):
            meter.copy_(count)
        problem.meters.network.padding = saved["padding"]
        if isinstance(problem.witness, Sheets):
            problem.witness.restore(saved["sheets"], device)
        kind = type(self.parts.run.algorithm.init(problem, self.parts.run.plan.purchases[-1].point))
        readouts = [
            Readout(point, series, Result(**moved(result, device)), Spent(*spent), spans_of(seconds))
            for point, series, result, spent, seconds in saved["readouts"]
        ]
        before, since = (spans_of(seconds) for seconds in saved["seconds"])
        problem.watch.spans[:] = before + since
        state = None if saved["state"] is None else kind(**moved(saved["state"], device))
        log.info("images %d to %d go on where they were", problem.ids[0], problem.ids[-1])
        return Halfway(Mark(Spent(*saved["begun"]), len(before)), state, saved["searched"], readouts, saved["finals"])

    def save(self, halfway: Halfway) -> None:
        """If the last one is old."""
        if time.monotonic() - self.saved < EVERY:
            return
        problem, (begun, seen) = self.problem, halfway.begun
        content = {
            "made_with": self.made_with,
            "counts": meters_of(problem),
            "padding": problem.meters.network.padding,
            "begun": tuple(begun),
            "seconds": [by_stage(problem.watch.spans[:seen]), by_stage(problem.watch.spans[seen:])],
            "state": None if halfway.state is None else halfway.state._asdict(),
            "searched": halfway.searched,
            "readouts": [
                (r.point, r.series, r.result._asdict(), tuple(r.spent), by_stage(r.spans)) for r in halfway.readouts
            ],
            "finals": halfway.finals,
            "sheets": problem.witness.saved() if isinstance(problem.witness, Sheets) else {},
        }
        buffer = io.BytesIO()
        torch.save(content, buffer)
        write_checked(self.path, buffer.getvalue())
        self.saved = time.monotonic()

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def meters_of(problem: Problem) -> list[Tensor]:
    """All that a problem counts."""
    guided, network = problem.meters, problem.meters.network
    of_network = (network.rows, network.backward, network.left_out)
    meters = (guided.evaluations, guided.backward, *of_network, problem.scored, problem.decoded)
    return [*(meter.count for meter in meters), problem.broken]


def moved(fields: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """Its tensors, on a device."""
    return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in fields.items()}
