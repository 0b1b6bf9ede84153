"""One table over every algorithm and every kind of verifier: what must hold for all of them."""

import io
from typing import Any

import pytest
import torch

from noise_search.algorithms.beam import Beam
from noise_search.algorithms.dno import DNO
from noise_search.algorithms.epsilon_greedy import EpsilonGreedy
from noise_search.algorithms.evolution import Evolution
from noise_search.algorithms.first_order import FirstOrder
from noise_search.algorithms.none import NoSearch
from noise_search.algorithms.paths import Paths
from noise_search.algorithms.racing import Racing
from noise_search.algorithms.random import Random
from noise_search.algorithms.rbf import RBF
from noise_search.algorithms.smc import SMC
from noise_search.algorithms.svdd import SVDD
from noise_search.algorithms.threshold import Threshold
from noise_search.algorithms.trust_region import TrustRegion
from noise_search.algorithms.zero_order import ZeroOrder
from noise_search.core.algorithm import Bounded, Result, Traceable, keeps, no_views_of
from noise_search.core.budget import Budget, make_plan
from noise_search.core.driver import Readout, search, sweep_points
from noise_search.core.guidance import Guidance
from tests.conftest import KINDS, Function, Setup, make_setup

ALGORITHMS = {
    "none": NoSearch(),
    "random": Random(),
    "zo": ZeroOrder(neighbours=2),
    "zo latest": ZeroOrder(neighbours=3, pivot="latest"),
    "zo redraw": ZeroOrder(neighbours=2, similarity=0.5, on_stall="redraw"),
    "zo latest redraw": ZeroOrder(neighbours=2, similarity=0.5, pivot="latest", on_stall="redraw"),
    "paths": Paths(paths=2, backward_nfe=4),
    "paths per_path": Paths(paths=3, backward_nfe=5, pool="per_path"),
    "smc": SMC(steps=8, resamplings=2, strength=20.0),
    "beam": Beam(beams=2, steps=8, choices=3),
    "beam drawn": Beam(beams=3, steps=6, choices=2, temperature=0.01),
    "svdd": SVDD(steps=6),
    "epsilon_greedy": EpsilonGreedy(candidates=3, steps=6),
    "racing": Racing(steps=16, rungs=(8, 12), factor=2),
    "rbf": RBF(particles=3, steps=12),
    "first_order": FirstOrder(),
    "dno": DNO(learning_rate=0.4, block=1, shuffles=2),
    "threshold": Threshold(enough=0.1),
    "threshold never": Threshold(enough=100.0),
    "trust_region": TrustRegion(candidates=2, radius=0.5, shortest=0.3, grow_after=1, shrink_after=1),
    "evolution": Evolution(population=5, elites=2),
    "evolution drift": Evolution(population=4, elites=1, mutation=1.0, tournament=0.3),
    "evolution on the way": Evolution(population=5, elites=2, mutation=0.5, times=(1.0, 1.0, 0.5)),
}
GRADIENT = ("pointwise", "self-supervised", "observed", "mean", "held out")  # the kinds that have one
REFUSED = {(a, kind) for a in ALGORITHMS for kind in ("population", "group") if a != "random"}
REFUSED |= {(a, "held out") for a in ALGORITHMS if a not in ("first_order", "dno")}
REFUSED |= {(a, kind) for a in ("first_order", "dno") for kind in KINDS if kind not in GRADIENT}
ON_THE_WAY = ("smc", "beam", "beam drawn", "svdd", "epsilon_greedy", "rbf", "racing")  # they score clean predictions
REFUSED |= {
    (a, kind) for a in ON_THE_WAY for kind in KINDS if kind != "pointwise"
}  # what they compare with, a clean prediction has not
REFUSED |= {("evolution on the way", kind) for kind in KINDS if kind != "pointwise"}
REFUSED |= {("threshold", "ensemble"), ("threshold never", "ensemble")}
TABLE = [(a, kind) for a in ALGORITHMS for kind in KINDS if (a, kind) not in REFUSED]

SETTINGS = [  # every pair of values of two of them
    ("linear", "heun", 1.0, 4),
    ("linear", "euler", 1.5, 5),
    ("cosine", "heun", 1.5, 4),
    ("cosine", "euler", 1.0, 5),
    ("ddpm", "heun", 1.0, 5),
    ("ddpm", "euler", 1.5, 4),
]


def points_of(name: str) -> list[int]:
    best_of = [0, 2, 3, 4]  # one candidate is no search
    return {"none": [0, 5, 6, 9], "random": best_of, "racing": best_of}.get(name, [0, 1, 2, 4])


@pytest.fixture(params=TABLE, ids=lambda pair: "-".join(pair))
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


def setup_of(kind: str, **options: Any) -> Setup:
    return make_setup(verifier=KINDS[kind](), **options)


def run(setup: Setup, algorithm: Any, points: list[int]) -> dict[int, Readout]:
    with torch.no_grad():
        events = list(sweep_points(setup.problem, algorithm, points, setup.guided))
    return {event.point: event for event in events if isinstance(event, Readout)}


def same(a: Result, b: Result, exact: bool = True) -> bool:
    pairs = [(p, q) for p, q in zip(a, b, strict=True) if isinstance(p, torch.Tensor)]
    if exact:
        return all(torch.equal(p.nan_to_num(7), q.nan_to_num(7)) for p, q in pairs)
    return all(torch.allclose(p.float(), q.float(), atol=1e-5, equal_nan=True) for p, q in pairs)


def test_shapes(case: tuple[str, str]) -> None:
    setup = setup_of(case[1])
    for point, readout in run(setup, ALGORITHMS[case[0]], points_of(case[0])).items():
        result = readout.result
        assert result.x.shape == (6, 1, 1, 2) and result.x.dtype == torch.float32
        assert result.score.shape == (6, len(setup.problem.verifier.members))
        assert result.candidate.shape == (6,) and result.candidate.dtype == torch.int64
        levels = len(setup.problem.verifier.needs) if result.t == 0 else 0
        assert result.views.shape == (6, levels, 1, 1, 2)
        searched = ALGORITHMS[case[0]].cost(point, 4, 8).search > 0
        assert (result.score.isfinite() == searched).all()


@pytest.mark.parametrize(("path", "solver", "scale", "nfe"), SETTINGS)
def test_plan_meter_and_spy_agree(case: tuple[str, str], path: str, solver: str, scale: float, nfe: int) -> None:
    algorithm, final, each = ALGORITHMS[case[0]], 8, 2 if scale != 1.0 else 1
    setup = setup_of(case[1], solver=solver, scale=scale, path=path, nfe=nfe, final=final, batch_size=7)
    plan = make_plan("toy", algorithm, Budget(nfe, final, points=tuple(points_of(case[0]))), Guidance(scale).rows, 1)
    readouts = run(setup, algorithm, points_of(case[0]))
    for purchase in plan.purchases:
        spent = readouts[purchase.point].spent
        assert keeps(algorithm, spent.evaluations, purchase.nfe_search)
        assert (spent.backward == purchase.nfe_backward).all()
        assert torch.equal(spent.rows, each * spent.evaluations)
        result = readouts[purchase.point].result
        assert (result.t == 1) == (purchase.nfe_final > 0)
    searched = int(setup.guided.evaluations.count.sum())
    assert setup.spy.rows == each * (searched + 6 * plan.sweep_backward)
    assert isinstance(algorithm, Bounded) or searched == 6 * plan.sweep_search
    assert keeps(algorithm, setup.problem.scored.count, plan.sweep_scored)
    before = setup.spy.rows
    for purchase in plan.purchases:
        if purchase.nfe_final:
            x = readouts[purchase.point].result.x
            setup.problem.solve(x[:, None], setup.problem.grid(purchase.nfe_final), setup.problem.verifier.needs)
    assert setup.spy.rows - before == 6 * each * sum(p.nfe_final for p in plan.purchases)


def test_a_point_alone_is_what_the_sweep_reads_out(case: tuple[str, str]) -> None:
    """The anytime prefix property; also for searches that are made one by one."""
    together = run(setup_of(case[1]), ALGORITHMS[case[0]], points_of(case[0]))
    for point in points_of(case[0])[1:]:
        (alone,) = run(setup_of(case[1]), ALGORITHMS[case[0]], [point]).values()
        if ALGORITHMS[case[0]].cost(point, 4, 8).search:
            assert same(alone.result, together[point].result)
            assert torch.equal(alone.spent.evaluations, together[point].spent.evaluations)


@pytest.mark.parametrize("batch_size", [1, 5])
def test_the_batch_size_changes_nothing(case: tuple[str, str], batch_size: int) -> None:
    whole = run(setup_of(case[1]), ALGORITHMS[case[0]], [3])[3].result
    parts = run(setup_of(case[1], batch_size=batch_size), ALGORITHMS[case[0]], [3])[3].result
    assert same(whole, parts, exact=False)


def test_images_do_not_depend_on_their_company(case: tuple[str, str]) -> None:
    together = run(setup_of(case[1], ids=[4, 5, 6]), ALGORITHMS[case[0]], [3])[3].result
    alone = run(setup_of(case[1], ids=[5]), ALGORITHMS[case[0]], [3])[3].result
    assert torch.allclose(together.x[1], alone.x[0], atol=1e-5)
    assert not torch.allclose(together.x[1], together.x[0], atol=1e-3)


def test_any_round_can_be_saved_and_restored(case: tuple[str, str]) -> None:
    algorithm, setup = ALGORITHMS[case[0]], setup_of(case[1])
    with torch.no_grad():
        states = list(search(setup.problem, algorithm, 3))
        for state in states:
            file = io.BytesIO()
            torch.save(state._asdict(), file)
            file.seek(0)
            restored = type(state)(**torch.load(file, weights_only=True))
            end = list(search(setup_of(case[1]).problem, algorithm, 3, restored))[-1]
            assert same(algorithm.result(setup.problem, end, 3), algorithm.result(setup.problem, states[-1], 3))


def test_a_result_is_made_again_from_its_lineage(case: tuple[str, str]) -> None:
    """By a problem that cannot score, at no evaluation for a noise and at those of one path for a finished sample."""
    algorithm = ALGORITHMS[case[0]]
    if not isinstance(algorithm, Traceable):
        assert case[0] in ("first_order", "dno", "trust_region", *ON_THE_WAY)
        return
    for point, readout in run(setup_of(case[1]), algorithm, points_of(case[0])).items():
        result, again = readout.result, make_setup(verifier=Function(unused))
        lineages = [[number for number in row if number >= 0] for row in result.lineage.tolist()]
        assert all(algorithm.owns(lineage) for lineage in lineages)
        with torch.no_grad():
            x, t = algorithm.remake(again.problem, lineages)
        assert torch.allclose(x, result.x, atol=1e-5) and t == result.t
        assert t == 0 or torch.equal(x, result.x)
        nfe = 0 if t else one_path(algorithm)
        assert (again.guided.evaluations.count == nfe).all(), point


def one_path(algorithm: Any) -> int:
    """Evaluations of one finished sample alone, at 4 NFE a search iteration and 8 of the final generation."""
    if not isinstance(algorithm, Paths):
        return 4
    return algorithm.start_nfe(8) + 3 * algorithm.backward_nfe + algorithm.last_nfe


def unused(*_: object) -> torch.Tensor:
    raise AssertionError("not used here")


@pytest.mark.parametrize("name", [name for name, a in ALGORITHMS.items() if a.anytime])
@pytest.mark.parametrize("kind", ["pointwise", "self-supervised", "observed"])
def test_the_result_never_gets_worse(name: str, kind: str) -> None:
    if (name, kind) in REFUSED:
        return
    setup = setup_of(kind, images=20)
    with torch.no_grad():
        states = list(search(setup.problem, ALGORITHMS[name], 12, stops=range(13)))
        results = [ALGORITHMS[name].result(setup.problem, state, state.round) for state in states[1:]]
    scores = torch.stack([result.score[:, 0] for result in results])
    assert (scores.diff(dim=0) >= 0).all() and (scores[-1] > scores[0]).any()


@pytest.mark.parametrize("name", [name for name, a in ALGORITHMS.items() if a.anytime])
def test_the_result_has_the_score_it_claims(name: str) -> None:
    """Scored again, the chosen noise, or finished sample, gives the number that chose it."""
    setup = make_setup(images=20)
    result = run(setup, ALGORITHMS[name], [6])[6].result
    x, problem = result.x[:, None], setup.problem
    again = (problem.evaluate(x) if result.t else problem.score(x, no_views_of(x)))[:, 0]
    assert torch.allclose(again, result.score, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name not in ("none", "threshold")])
def test_a_known_optimum_is_approached(name: str) -> None:
    """Brightness: what a search finds beats nine tenths of what it could have found, for nearly every image: single
    noises, or noises of the first one's norm where the algorithm keeps it."""
    setup = make_setup(images=40, nfe=8)
    others = setup.problem.noises(200, round=9)
    if name in ("zo", "zo latest", "first_order"):
        others = (
            others
            * (setup.problem.noise(0).flatten(1).norm(dim=1) / others.flatten(2).norm(dim=2).T).T[..., None, None, None]
        )
    singles = setup.problem.evaluate(others)[..., 0]
    result = run(setup, ALGORITHMS[name], [40])[40].result
    assert (result.score[:, 0] > singles.quantile(0.9, dim=1)).float().mean() > 0.9


@pytest.mark.parametrize(
    ("name", "points", "most"),
    [
        ("random", [1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256], 0.36),
        ("zo", [0, 1, 2, 4, 8, 16, 32, 48, 64, 96, 128], 0.40),
    ],
)
def test_a_sweep_over_the_papers_points_costs_a_third_of_single_runs(name: str, points: list[int], most: float) -> None:
    """By the ledger, at the paper's 50 and 250 NFE, with the winners that were found here."""
    setup = make_setup(images=30, nfe=2, final=10)  # one twenty-fifth of the NFE: the ratio is the same
    readouts = run(setup, ALGORITHMS[name], points)
    winners = [len({int(readouts[p].result.candidate[i]) for p in points}) for i in range(30)]
    alone = sum(sum(ALGORITHMS[name].cost(p, 50, 250)[:2]) for p in points)
    together = ALGORITHMS[name].cost(points[-1], 50, 250).search + 250 * sum(winners) / 30
    assert together / alone < most
    assert (setup.guided.evaluations.count == ALGORITHMS[name].cost(points[-1], 2, 10).search).all()
