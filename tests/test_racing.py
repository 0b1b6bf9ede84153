"""Racing: who is dropped, at what cost, and what is gained by it."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from noise_search.algorithms.racing import Racing
from noise_search.algorithms.random import Random
from noise_search.assets import FOLDER
from noise_search.core.driver import search
from noise_search.core.problem import Problem
from noise_search.errors import Refused
from noise_search.storage.atomic import sha256
from scripts.results_racing import table
from tests.conftest import Function, make_setup


def by_hand(problem: Problem, count: int, times: Sequence[float], common_start: bool) -> list[tuple[Tensor, Tensor]]:
    """Of every evaluation: its clean predictions [B, K, ...], and x after the step that follows; on the linear path."""
    x, out, last, h_last = problem.noises(count), [], None, 0.0
    for i, (t, s) in enumerate(pairwise(times)):
        x0, eps = problem.predict(x, t)
        if i == 0 and common_start:
            x0, eps = x0[:, :1].expand_as(x0), x
        slope, h = x0 - eps, t - s
        ahead = slope if last is None else slope + h / (2 * h_last) * (slope - last)
        x, last, h_last = x + h * ahead, slope, h
        out.append((x0, x))
    return out


@pytest.mark.parametrize("common_start", [True, False])
def test_the_worst_at_a_rung_are_dropped(common_start: bool) -> None:
    """By hand: clean predictions of the third evaluation choose 2 of 8, finished samples the best of these."""
    problem = make_setup(images=40).problem
    racing = Racing(steps=5, rungs=(3,), factor=4, common_start=common_start)
    with torch.no_grad():
        *_, middle, end = search(problem, racing, 8)
        way = by_hand(problem, 8, [1.0, 0.8, 0.6, 0.4, 0.2, 0.0], common_start)
        no_views = way[0][0][:, :, None][:, :, :0]
        early = problem.score(way[2][0], no_views)[:, :, 0]
        late = problem.score(way[4][1], no_views)[:, :, 0]
    kept = early.topk(2).indices
    assert torch.equal(middle.number.sort().values, kept.sort().values)
    best = kept.gather(1, late.gather(1, kept).argmax(1)[:, None])[:, 0]
    result = racing.result(problem, end, 8)
    assert torch.equal(result.candidate, best) and torch.equal(result.x, problem.noise(best))
    torch.testing.assert_close(result.score[:, 0], late.gather(1, best[:, None])[:, 0], atol=1e-5, rtol=1e-5)
    assert (best != late.argmax(1)).any()  # here a race costs something
    assert not end.ties.any()


def test_equals_at_the_cut_are_counted_and_go_to_the_earlier() -> None:
    """A verifier that only says above or below: of 8 candidates 2 go on, one wins."""
    setup = make_setup(verifier=Function(lambda images, *_: (images.flatten(1).mean(1) > 0.1).float()), images=40)
    problem, racing = setup.problem, Racing(steps=5, rungs=(3,), factor=4)
    with torch.no_grad():
        *_, middle, end = search(problem, racing, 8)
        way = by_hand(problem, 8, [1.0, 0.8, 0.6, 0.4, 0.2, 0.0], True)
        x0, last = way[2][0], way[4][1].gather(1, middle.number[:, :, None, None, None].expand(-1, -1, 1, 1, 2))
        at_the_end = problem.score(last, last[:, :, None][:, :, :0])[:, :, 0]
        above = problem.score(x0, x0[:, :, None][:, :, :0])[:, :, 0].sum(1).long()
    expected = (above - 2).where(above >= 2, torch.tensor(6))  # with one or none above, those below are cut
    assert torch.equal(middle.ties, expected)
    assert len(set(above.tolist())) > 2
    assert torch.equal(racing.result(problem, end, 8).ties, end.ties)
    first_two = middle.number[above >= 2].sort().values
    assert len(first_two) and (first_two[:, 0] < first_two[:, 1]).all()
    assert torch.equal(end.ties - middle.ties, (at_the_end[:, 0] == at_the_end[:, 1]).long())


def test_what_all_see_at_the_beginning_is_evaluated_once() -> None:
    """On the exact mixture nothing is seen at t = 1: a common start costs N - 1 evaluations less, and no accuracy."""
    ends = {}
    for common_start in (True, False):
        setup, racing = make_setup(images=8), Racing(common_start=common_start)
        with torch.no_grad():
            *_, end = search(setup.problem, racing, 6)
        ends[common_start] = racing.result(setup.problem, end, 6)
        assert (setup.guided.evaluations.count == racing.cost(6, 10, 20).search).all()
    assert racing.cost(6, 10, 20).search - Racing().cost(6, 10, 20).search == 5
    assert torch.equal(ends[True].candidate, ends[False].candidate)
    torch.testing.assert_close(ends[True].score, ends[False].score)


def test_it_costs_half_of_best_of_n_and_keeps_most_of_its_gain() -> None:
    racing = Racing()
    assert racing.left(16) == [16, 6]
    assert racing.cost(16, 10, 20).search == 1 + 16 * 3 + 6 * 1 == 55
    assert racing.cost(16, 10, 20).scored == 22
    assert racing.cost(1, 10, 20) == Random().cost(1, 10, 20)
    images, means = range(200), {}
    for algorithm in (racing, Random()):
        problem = make_setup(ids=list(images), nfe=10, final=20).problem
        with torch.no_grad():
            *_, end = search(problem, algorithm, 16)
            chosen = algorithm.result(problem, end, 16)
            means[algorithm.name] = float(problem.evaluate(chosen.x[:, None]).mean())
            first = float(problem.evaluate(problem.noise(0)[:, None]).mean())
    kept = (means["racing"] - first) / (means["random"] - first)
    assert 0.8 < kept <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rungs": ()}, "rungs"),
        ({"rungs": (4, 4)}, "growing whole numbers"),
        ({"rungs": (4, 5)}, "from 1 to 4"),
        ({"rungs": "47"}, "rungs"),
        ({"factor": 1}, "factor"),
        ({"steps": 1}, "steps"),
        ({"rungs": (1, 3)}, "from 2 on with common_start"),
    ],
)
def test_wrong_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(Refused, match=message):
        Racing(**options)


def test_the_committed_table_is_what_its_scores_give() -> None:
    """docs/results/racing.md, and that its scores are of the shipped weights."""
    folder = Path(__file__).parents[1] / "docs/results"
    with np.load(folder / "racing/scores.npz") as stored:
        kept = {name: stored[name] for name in stored.files if name != "weights"}
        weights = json.loads(str(stored["weights"]))
    assert kept["final"].shape == (3, 100, 24)
    assert table(kept) in (folder / "racing.md").read_text()
    assert {"sit_cifar10.safetensors", "judge_lite2.safetensors"} < set(weights)
    for name, digest in weights.items():
        if (FOLDER / name).is_file():
            assert sha256(FOLDER / name) == digest, f"{name} has changed: race again"
