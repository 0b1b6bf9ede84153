"""Racing: who is dropped, at what cost, and what is gained by it."""

import pytest
import torch

from noise_search.algorithms.racing import Racing
from noise_search.algorithms.random import Random
from noise_search.core.driver import search
from noise_search.errors import Refused
from tests.conftest import make_setup


def test_the_worst_at_a_rung_are_dropped() -> None:
    """By hand: clean predictions after two Euler evaluations choose 2 of 8, finished samples the best of these."""
    setup = make_setup(images=40)
    problem, racing = setup.problem, Racing(steps=4, rungs=(2,), factor=4)
    with torch.no_grad():
        *_, middle, end = search(problem, racing, 8)
        noise = problem.noises(8)
        x, _ = problem.solve(noise, problem.schedule(4, solver="euler")._replace(times=(1.0, 0.75), stages=(1,)))
        early = problem.score(problem.predict(x, 0.75).x0, noise[:, :, None][:, :, :0])[:, :, 0]
        full, _ = problem.solve(noise, problem.schedule(4, solver="euler"))
        late = problem.score(full, noise[:, :, None][:, :, :0])[:, :, 0]
    kept = early.topk(2).indices
    assert torch.equal(middle.number.sort().values, kept.sort().values)
    best = kept.gather(1, late.gather(1, kept).argmax(1)[:, None])[:, 0]
    result = racing.result(problem, end, 8)
    assert torch.equal(result.candidate, best) and torch.equal(result.x, problem.noise(best))
    torch.testing.assert_close(result.score[:, 0], late.gather(1, best[:, None])[:, 0], atol=1e-5, rtol=1e-5)
    assert (best != late.argmax(1)).any()  # here a race costs something


def test_it_costs_less_than_best_of_n_and_keeps_most_of_its_gain() -> None:
    racing = Racing()
    assert racing.left(16) == [16, 4, 1]
    assert racing.cost(16, 10, 20).search == 16 * 4 + 4 * 3 + 1 * 3 == 79
    assert racing.cost(16, 10, 20).scored == 21
    assert racing.cost(1, 10, 20) == Random().cost(1, 10, 20)
    images, means = range(200), {}
    for algorithm in (racing, Random()):
        problem = make_setup(ids=list(images), nfe=10, final=20, solver="euler").problem
        with torch.no_grad():
            *_, end = search(problem, algorithm, 16)
            chosen = algorithm.result(problem, end, 16)
            means[algorithm.name] = float(problem.evaluate(chosen.x[:, None]).mean())
            first = float(problem.evaluate(problem.noise(0)[:, None]).mean())
    kept = (means["racing"] - first) / (means["random"] - first)
    assert 0.8 < kept < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rungs": ()}, "rungs"),
        ({"rungs": (4, 4)}, "growing whole numbers"),
        ({"rungs": (4, 10)}, "from 1 to 9"),
        ({"rungs": "47"}, "rungs"),
        ({"factor": 1}, "factor"),
        ({"steps": 1}, "steps"),
    ],
)
def test_wrong_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(Refused, match=message):
        Racing(**options)
