"""Random search: anytime, never worse, and right about a known optimum."""

import pytest
import torch

from noise_search.algorithms.random import Random
from noise_search.core.driver import Readout, search, sweep_points
from tests.conftest import KINDS, make_setup


def test_one_search_passes_through_every_smaller_one() -> None:
    long = make_setup()
    points = [1, 2, 3, 8]
    readouts = {
        r.point: r.result for r in sweep_points(long.problem, Random(), points, long.guided) if isinstance(r, Readout)
    }
    for n in points[1:]:
        short = make_setup()
        (alone,) = (r for r in sweep_points(short.problem, Random(), [n], short.guided) if isinstance(r, Readout))
        assert torch.equal(alone.result.x, readouts[n].x) and torch.equal(alone.result.score, readouts[n].score)
        assert torch.equal(alone.result.candidate, readouts[n].candidate)


def test_the_best_never_gets_worse_and_is_the_best_of_all(setup) -> None:
    results = [Random().result(setup.problem, s, s.round) for s in search(setup.problem, Random(), 12, stops=range(13))]
    scores = torch.stack([r.score[:, 0] for r in results])
    assert (scores.diff(dim=0)[1:] >= 0).all()
    every = torch.cat([setup.problem.evaluate(setup.problem.noise(n)[:, None]) for n in range(12)], 1)[..., 0]
    assert torch.equal(results[-1].score[:, 0], every.max(1).values)
    assert torch.equal(results[-1].candidate, every.argmax(1))


def test_the_address_regenerates_the_noise(setup) -> None:
    result = Random().result(setup.problem, list(search(setup.problem, Random(), 9))[-1], 9)
    for image, candidate in enumerate(result.candidate.tolist()):
        assert torch.equal(result.x[image], setup.problem.noise(candidate)[image])


def test_a_known_optimum_is_approached() -> None:
    """The score of 400 candidates must beat the 95th percentile of single draws for every image."""
    setup = make_setup(images=8, nfe=8)
    singles = setup.problem.evaluate(torch.stack([setup.problem.noise(n) for n in range(1000, 1200)], 1))[..., 0]
    best = list(search(setup.problem, Random(), 400))[-1].scores[..., 0].max(1).values
    assert (best > singles.quantile(0.95, dim=1)).all()


def test_images_do_not_depend_on_their_company() -> None:
    together, alone = make_setup(ids=[4, 5, 6]), make_setup(ids=[5], batch_size=2)
    a, b = (Random().result(s.problem, list(search(s.problem, Random(), 6))[-1], 6) for s in (together, alone))
    assert a.candidate[1] == b.candidate[0] and torch.equal(a.x[1], b.x[0])
    assert torch.allclose(a.score[1], b.score[0], atol=1e-6)


@pytest.mark.parametrize("kind", ["pointwise", "self-supervised", "ensemble", "observed"])
def test_where_a_candidate_is_the_image_it_is_not_generated_again(kind: str) -> None:
    setup, points = make_setup(nfe=8, final=8, verifier=KINDS[kind]()), [0, 1, 3, 7]
    problem = setup.problem
    assert [tuple(Random().cost(n, 8, 8))[:3] for n in (0, 1, 96)] == [(0, 8, 8), (8, 0, 8), (768, 0, 768)]
    events = list(sweep_points(problem, Random(), points, setup.guided))
    readouts = {event.point: event for event in events if isinstance(event, Readout)}
    other = make_setup(nfe=8, final=9, verifier=KINDS[kind]())
    again = {
        e.point: e for e in sweep_points(other.problem, Random(), points[1:], other.guided) if isinstance(e, Readout)
    }
    for n in points[1:]:
        found, noise = readouts[n].result, again[n].result
        assert torch.equal(found.candidate, noise.candidate) and torch.equal(found.score, noise.score)
        x, views = problem.solve(noise.x[:, None], problem.grid(8), problem.verifier.needs)
        assert found.t == 0 and torch.allclose(found.x, x[:, 0], atol=1e-5)
        assert torch.allclose(found.views, views[:, 0], atol=1e-5)
        assert (readouts[n].spent.evaluations == 8 * n).all()
    first = readouts[0].result
    assert first.t == 1 and (first.candidate == -1).all() and (readouts[0].spent.evaluations == 0).all()
    assert events[-2].numbers.shape[1] == (7 if kind == "ensemble" else 1)  # memory: flat where a choice is
