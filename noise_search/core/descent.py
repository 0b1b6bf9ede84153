"""Trajectories with noise: ancestral steps, as algorithms take them that choose on the way down."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from noise_search.errors import Refused

if TYPE_CHECKING:
    from torch import Tensor

    from noise_search.core.denoiser import Prediction
    from noise_search.core.problem import Problem
    from noise_search.core.verifier import Verifier


def descend(problem: Problem, prediction: Prediction, times: Sequence[float], first: int, eta: float) -> Tensor:
    """Predictions [B, K, ...] at times[0] -> x [B, K, ...] at times[-1], a step of `Flow.jump` between each two; one
    evaluation a candidate at every time between. first: number of the first step on the whole way, of its noise."""
    x = prediction.x0
    for i, (t, s) in enumerate(pairwise(times)):
        if i:
            prediction = problem.predict(x, t)
        x = problem.flow.jump(prediction, t, s, eta, problem.noises(x.shape[1], first + i, "jump"))
    return x


def stage_bounds(steps: int, stages: int) -> list[int]:
    """The numbers of steps between which each of at most `steps` stages lies: 0, ..., steps."""
    return [round(i * steps / stages) for i in range(stages + 1)]


def refuse_views(name: str, verifier: Verifier) -> None:
    """Refuse a verifier that compares with clean predictions of the way: a choice there has none of its own yet."""
    if verifier.needs:
        raise Refused(f"{name}: verifier {verifier.name} compares an image with its views; a clean prediction has none")
