"""All that a run is made of, loaded."""

import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch

from noise_search.core.denoiser import Batches
from noise_search.core.draft import Drafter
from noise_search.core.model import Model
from noise_search.core.problem import Problem, open_problem
from noise_search.core.stopwatch import Stopwatch
from noise_search.core.verifier import Verifier
from noise_search.measures.judge import Judge
from noise_search.run.description import Description
from noise_search.run.sheets import Sheets


class Tuning(NamedTuple):
    """What can change a bit of a result and is no setting of it (`run/tuning.py`). batch_size: network rows at a time;
    compile: is the network compiled? precision: of the parts that leave it to the run."""

    batch_size: int
    compile: bool
    precision: str = "bfloat16"  # as runs had it that name none


@dataclass(frozen=True)
class Parts:
    """run: what was asked for; the rest: its parts, loaded and tried. made_with: digest of the settings, versions of
    the libraries. tuning: as it was found; the size of batches halves where memory does not do. source: the run whose
    candidates were read again."""

    run: Description
    model: Model
    verifier: Verifier
    judge: Judge
    device: str
    draft: Drafter
    batches: Batches
    made_with: Mapping[str, str]
    tuning: Tuning
    source: str | None = None

    @property
    def weights(self) -> dict[str, str]:
        """File name -> sha256 of everything that was loaded."""
        return {**self.model.weights, **self.verifier.weights, **self.judge.weights, **self.draft.weights}

    @property
    def footer(self) -> dict[str, str]:
        """Of every file of results: what its images were made with."""
        return {**self.made_with, "weights": json.dumps(self.weights)}

    @cached_property
    def device_name(self) -> str:
        """Whose seconds are measured."""
        return device_name(self.device)

    @property
    def reads_texts(self) -> bool:
        """Does the model or the verifier read the conditions' words?"""
        return self.model.classes is None or "texts" in self.verifier.reads

    @property
    def batch_size(self) -> int:
        return self.batches.size


def begin(parts: Parts, ids: list[int], verifier: Verifier | None = None) -> Problem:
    """The problem of searching for `ids`; verifier: instead of parts.verifier."""
    run, index = parts.run, parts.run.dataset.index(ids)
    return open_problem(
        parts.model,
        verifier or parts.verifier,
        torch.from_numpy(index).to(parts.device),
        ids,
        run.budget.search_nfe,
        run.budget.final_nfe,
        run.guidance,
        run.settings.seed,
        parts.batches,
        [run.dataset.texts[i] for i in index.tolist()] if parts.reads_texts else (),
        Stopwatch(torch.device(parts.device)),
        Sheets(ids, run.settings.keep_bank) if run.keeps_bank else None,
        parts.draft,
    )


def device_name(device: str) -> str:
    """The GPU's name; of a CPU its model, and how many threads torch uses of it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    threads = torch.get_num_threads()
    return f"{(models or [platform.processor() or platform.machine()])[0]}, {threads} thread{'s' * (threads > 1)}"
