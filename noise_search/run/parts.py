"""All that a run is made of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from noise_search.core.algorithm import Algorithm
from noise_search.core.budget import Budget, Plan
from noise_search.core.dataset import Dataset
from noise_search.core.denoiser import Batches
from noise_search.core.model import Model
from noise_search.core.problem import Problem, open_problem
from noise_search.core.verifier import Verifier
from noise_search.measures.judge import Judge
from noise_search.run.settings import Settings
from noise_search.run.workers import Worker


@dataclass(frozen=True)
class Parts:
    """All that a run is made of, built and checked."""

    model: Model
    dataset: Dataset
    verifier: Verifier
    algorithm: Algorithm
    budget: Budget
    judge: Judge
    plan: Plan
    settings: Settings
    solver: str
    device: str
    batches: Batches
    made_with: Mapping[str, str]  # digest of the settings, versions of the libraries
    worker: Worker
    source: str | None = None  # the run whose candidates were read again
    spacing: str = "uniform"

    @property
    def weights(self) -> dict[str, str]:
        """File name -> sha256 of everything that was loaded."""
        return self.model.weights | self.verifier.weights | self.judge.weights

    @property
    def footer(self) -> dict[str, str]:
        """Of every file of results: what its images were made with."""
        return {**self.made_with, "weights": json.dumps(self.weights)}

    @property
    def reads_texts(self) -> bool:
        """Does the model or the verifier read the conditions' words?"""
        return self.model.classes is None or "texts" in self.verifier.reads

    @property
    def batch_size(self) -> int:
        return self.batches.size


def begin(parts: Parts, ids: list[int], verifier: Verifier | None = None) -> Problem:
    """The problem of searching for `ids`; verifier: instead of parts.verifier."""
    index = parts.dataset.index(ids)
    return open_problem(
        parts.model,
        verifier or parts.verifier,
        torch.from_numpy(index).to(parts.device),
        ids,
        parts.budget.search_nfe,
        parts.budget.final_nfe,
        parts.settings.guidance,
        parts.solver,
        parts.settings.seed,
        parts.batches,
        [parts.dataset.texts[i] for i in index.tolist()] if parts.reads_texts else (),
        parts.spacing,
    )
