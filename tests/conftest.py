"""Shared pieces: the exact toy as a problem, with a spy inside every meter."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from noise_search.core.denoiser import Guided, Prediction, metered_denoiser
from noise_search.core.flow import Flow
from noise_search.core.guidance import Guidance
from noise_search.core.interpolant import CosineInterpolant, DDPMInterpolant, LinearInterpolant
from noise_search.core.observed import Observed
from noise_search.core.problem import Problem
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.measures.frechet import Gaussian
from noise_search.measures.judge import Judge, Space
from noise_search.measures.statistics import Statistics
from noise_search.networks import transformer
from noise_search.networks.mixture import Mixture, MixtureNetwork
from noise_search.verifiers.brightness import Brightness
from noise_search.verifiers.ensemble import Ensemble
from noise_search.verifiers.ensemble_mean import EnsembleMean
from noise_search.verifiers.group import Group, Sets
from noise_search.verifiers.held_out import HeldOut
from noise_search.verifiers.oracle_fid import OracleFID

os.environ["OMP_NUM_THREADS"] = "1"  # in the runs that tests start too: tests stand side by side, and sums that are
torch.set_num_threads(1)  # compared to the bit are taken in one order


@contextmanager
def counted_multiply_adds() -> Iterator[Callable[[], int]]:
    """Attention is written out meanwhile: which fused kernels are counted depends on torch's version and the device."""
    with (
        mock.patch.object(transformer, "attend", transformer.written_out),
        torch.no_grad(),
        FlopCounterMode(display=False) as counter,
    ):
        yield lambda: counter.get_total_flops() // 2


class Spy:
    """Counts the rows that really reach the network: independent of every meter."""

    def __init__(self, network: MixtureNetwork) -> None:
        self.network, self.rows, self.largest = network, 0, 0

    def __call__(self, x: Tensor, t: Tensor, label: Tensor) -> Prediction:
        self.rows, self.largest = self.rows + len(x), max(self.largest, len(x))
        return self.network(x, t, label)


class Likeness(Verifier):
    """A self-supervised verifier without a network: how near the image is to its clean prediction at t = 0.4."""

    name = "likeness"
    weights: ClassVar[dict[str, str]] = {}
    needs = (0.4,)
    differentiable = True

    def score(self, candidates: Candidates) -> Tensor:
        assert candidates.views.shape[2] == 1
        return -(candidates.images - candidates.views[:, :, 0]).flatten(2).norm(dim=2)


class Function(Verifier):
    """Any function of images [N, 3, H, W] in [-1, 1] and conditions [N] that returns [N]."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], name: str = "own") -> None:
        self.function, self.name, self.weights = function, name, {}

    def score(self, candidates: Candidates) -> Tensor:
        b, k = candidates.images.shape[:2]
        return self.function(candidates.images.flatten(0, 1), candidates.condition.repeat_interleave(k)).view(b, k)


class Evil:
    """Unpickled by a careless reader, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.path}",)


def population() -> OracleFID:
    """Oracle FID on the toy's two numbers, with its statistics frozen at shifted sets, another for every point."""

    def features(images: np.ndarray) -> np.ndarray:
        return images.reshape(len(images), -1).astype(np.float32) / 127.5 - 1

    def unused(*_: object) -> None:
        raise AssertionError("not used here")

    rng = np.random.default_rng(0)
    space = Space(slice(None), Gaussian(np.zeros(2), np.eye(2)), "", "toy")
    judge = Judge("toy", "toy", features, unused, space)
    sets = {point: Statistics.of(0.5 * rng.standard_normal((50, 2)) + 0.1 * point) for point in range(13)}
    return OracleFID(50).load(Surroundings(judge=judge)).against(sets)


class Eyes(Brightness):
    """The toy's two numbers as features."""

    width = 2

    def features(self, images: Tensor) -> Tensor:
        return images.flatten(1)


def grouped() -> Group:
    """Brightness and diversity, frozen at a set of seven images of each class, another for every point."""
    sums = {point: {c: np.array([1.0, -2.0]) * (c + point) for c in (0, 1)} for point in range(13)}
    return Group(Brightness(), Eyes(), weight=0.5).against(Sets({0: 7, 1: 7}, sums))


KINDS = {
    "pointwise": Brightness,
    "self-supervised": Likeness,
    "ensemble": lambda: Ensemble({"brightness": Brightness(), "likeness": Likeness()}),
    "observed": lambda: Observed(Brightness(), {"likeness": Likeness()}),
    "mean": lambda: EnsembleMean({"brightness": Brightness(), "likeness": Likeness()}, scales={"likeness": 2.0}),
    "held out": lambda: HeldOut(Brightness(), Likeness()),
    "population": population,
    "group": grouped,
}


@dataclass
class Setup:
    problem: Problem
    guided: Guided
    spy: Spy


def small_mixture() -> Mixture:
    """Two classes of two components over 1 x 1 x 2 'images'."""
    means = torch.tensor([[[-1.0, 0.0], [-0.5, 0.8]], [[1.0, 0.0], [0.5, -0.8]]]).view(2, 2, 1, 1, 2)
    return Mixture(means, 0.2)


def make_setup(
    images: int = 6,
    nfe: int = 4,
    solver: str = "heun",
    scale: float = 1.0,
    path: str = "linear",
    batch_size: int = 1000,
    ids: list[int] | None = None,
    seed: int = 0,
    final: int = 8,
    verifier: Verifier | None = None,
) -> Setup:
    ids = list(range(images)) if ids is None else ids
    kind = {"linear": LinearInterpolant, "cosine": CosineInterpolant, "ddpm": DDPMInterpolant}[path]()
    spy = Spy(MixtureNetwork(small_mixture(), kind))
    labels = torch.tensor([i % 2 for i in ids])
    denoiser = metered_denoiser(spy, (labels,), (torch.tensor([2]),), Guidance(scale), batch_size)
    flow = Flow(denoiser, kind, lambda x: x)
    problem = Problem(flow, verifier or Brightness(), ids, labels, (), (1, 1, 2), nfe, final, solver, seed)
    return Setup(problem, denoiser, spy)


@pytest.fixture
def setup() -> Setup:
    return make_setup()
