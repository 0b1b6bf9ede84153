"""What single algorithms promise: neighbours, re-noising, gradients, ranks, pools."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from noise_search.algorithms.first_order import FirstOrder, ascend
from noise_search.algorithms.none import NoSearch
from noise_search.algorithms.paths import Paths
from noise_search.algorithms.random import Random
from noise_search.algorithms.zero_order import ZeroOrder, neighbours
from noise_search.core.denoiser import Prediction
from noise_search.core.driver import search
from noise_search.core.gather import ranks, take, top
from noise_search.core.grid import uniform_grid
from noise_search.core.verifier import Candidates
from noise_search.report.matrix import cross_matrix
from noise_search.verifiers.brightness import Brightness
from noise_search.verifiers.ensemble import Ensemble
from tests.conftest import KINDS, Function, Likeness, make_setup


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 8),
    similarity=st.floats(-0.99, 0.99),
    size=st.sampled_from([2, 16, 512]),
    scale=st.floats(0.1, 30),
)
def test_neighbours_have_exactly_that_cosine_and_norm(
    seed: int, count: int, similarity: float, size: int, scale: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    pivot = scale * torch.randn(3, size, generator=generator)
    near = neighbours(pivot, torch.randn(3, count, size, generator=generator), similarity).double()
    own = pivot.double()[:, None].expand_as(near)
    assert torch.allclose(near.norm(dim=2), own.norm(dim=2), rtol=1e-6, atol=0)
    assert torch.allclose(
        torch.cosine_similarity(near, own, dim=2), torch.tensor(similarity).double(), rtol=0, atol=1e-6
    )


@pytest.mark.parametrize("path", ["linear", "cosine", "ddpm"])
@pytest.mark.parametrize(("t", "s"), [(0.11, 0.89), (0.02, 0.8), (0.3, 1.0), (0.5, 0.6)])
def test_renoising_keeps_the_marginal(path: str, t: float, s: float) -> None:
    """x_t = a x0 + s eps with a known x0: mean and variance at s are those of the forward process."""
    n, x0 = 200_000, 1.7
    flow = make_setup(path=path).problem.flow
    generator = torch.Generator().manual_seed(0)
    eps, fresh = torch.randn(2, n, 1, generator=generator, dtype=torch.float64)
    at = {
        u: (flow.interpolant.signal(torch.tensor(u).double()), flow.interpolant.noise(torch.tensor(u).double()))
        for u in (t, s)
    }
    x = flow.renoise(at[t][0] * x0 + at[t][1] * eps, t, s, fresh)
    error = 5 / n**0.5
    assert abs(x.mean() - at[s][0] * x0) < error
    assert abs(x.var() - at[s][1] ** 2) < 2 * error
    with pytest.raises(ValueError, match="s must be above t"):
        flow.renoise(x, s, t, fresh)


def test_the_papers_paths() -> None:
    paths = Paths(paths=4)
    assert paths.levels == [0.11, 0.08, 0.05, 0.02]
    assert paths.start_nfe(250) == 224
    assert [paths.cost(m, 50, 250).paper for m in (1, 2)] == [224 + 45 * 4, 224 + 45 * 8]
    assert paths.cost(2, 50, 250) == (4 * 224 + 3 * 8 * 15 + 4 * 2, 0, 224 + 360, 4 + 3 * 8, 0)


def test_the_papers_axis_of_zero_order_search() -> None:
    assert [ZeroOrder(neighbours=4).cost(k, 50, 250).paper for k in (1, 2, 128)] == [600, 800, 26_000]
    assert ZeroOrder(neighbours=2).cost(3, 50, 250).search == 50 * 7


@pytest.mark.parametrize("kind", ["pointwise", "self-supervised"])
def test_paths_are_the_papers_in_straight_lines(kind: str) -> None:
    """Levels 0.11, 0.08, 0.05, 0.02; each round re-noises by 0.78 and comes back by 0.81; the last leg goes to 0."""
    problem, width, paths = make_setup(images=5, final=8, verifier=KINDS[kind]()).problem, 3, 2

    def chosen(values: Tensor, order: Tensor) -> Tensor:
        return torch.stack([row[kept] for row, kept in zip(values, order, strict=True)])

    with torch.no_grad():
        found = list(search(problem, Paths(paths=paths, backward_nfe=4), width))[-1]
        x, _ = problem.solve(problem.noises(paths), problem.grid(8, 1.0, 0.11))
        for round, low in enumerate((0.11, 0.08, 0.05), 1):
            x, high = x.repeat_interleave(width, 1), low + 0.78
            kept = (1 - high) / (1 - low)
            fresh = problem.noises(paths * width, round, "renoise")
            x = kept * x + (high**2 - (kept * low) ** 2) ** 0.5 * fresh
            x, views = problem.solve(x, problem.grid(4, high, low - 0.03), problem.verifier.needs)
            clean = problem.flow.predict(x.flatten(0, 1), low - 0.03, problem.who(paths * width)).x0.view_as(x)
            best = problem.score(clean, views)[..., 0].topk(paths, 1).indices
            x, views = chosen(x, best), chosen(views, best)
        x, _ = problem.solve(x, problem.grid(2, 0.02, 0.0))
    assert torch.allclose(found.x, x, atol=1e-5) and torch.allclose(found.views, views, atol=1e-5)
    assert torch.allclose(found.score, problem.score(x, views), atol=1e-5)


def test_a_pool_of_all_may_drop_a_path_and_per_path_may_not() -> None:
    origins = {}
    for pool in ("all", "per_path"):
        algorithm, setup = Paths(paths=2, backward_nfe=4, pool=pool), make_setup(images=50)
        state = list(search(setup.problem, algorithm, 3))[2]  # after the first re-noising
        origins[pool] = (state.address - 1) // 3
    assert (origins["per_path"] == torch.tensor([0, 1])).all()
    assert (origins["all"][:, 0] == origins["all"][:, 1]).any()


def test_more_width_finds_better_paths() -> None:
    setup = make_setup(images=60)
    scores = []
    for m in (1, 4, 16):
        state = list(search(setup.problem, Paths(paths=2, backward_nfe=4), m))[-1]
        scores.append(float(state.score.max(1).values.mean()))
    assert scores == sorted(scores) and scores[-1] > scores[0] + 0.05


def test_redrawing_leaves_a_pivot_that_keeping_is_stuck_at_and_remembers_the_best() -> None:
    """A verifier that prefers the first noise's own image to everything."""
    base = make_setup(images=8).problem
    wanted = base.flow.decode(base.flow.solve(base.noise(0), base.grid(4), torch.arange(8)).x)

    def likeness(images: Tensor, _: Tensor) -> Tensor:
        return -(images - wanted.repeat_interleave(len(images) // 8, 0)).flatten(1).norm(dim=1)

    moves = {}
    for on_stall in ("keep", "redraw"):
        problem = make_setup(images=8, verifier=Function(likeness)).problem
        states = list(search(problem, ZeroOrder(similarity=0.5, on_stall=on_stall), 12))
        moves[on_stall] = [not torch.equal(state.pivot, base.noise(0)) for state in states[1:]]
        assert all(torch.equal(state.best, base.noise(0)) for state in states)
        assert torch.allclose(states[-1].best_score, torch.zeros(8, 1), atol=1e-6)
    assert not any(moves["keep"]) and all(moves["redraw"])


def test_a_fresh_pivot_takes_no_part_in_ranks() -> None:
    """After a redraw the neighbours are ranked among themselves: the old pivot's score is gone."""
    setup = make_setup(images=60, verifier=KINDS["ensemble"]())
    algorithm = ZeroOrder(neighbours=4, similarity=0.5, on_stall="redraw")
    states = list(search(setup.problem, algorithm, 8))
    fresh = 0
    for before, after in itertools.pairwise(states[1:]):
        who = before.pivot_address < 0
        fresh += int(who.sum())
        assert before.pivot_score[who].isnan().all()
        near = neighbours(before.pivot, setup.problem.noises(4, before.round, "neighbour"), 0.5)
        order = setup.problem.combine(setup.problem.evaluate(near))
        moved = take(near, order.argmax(1))
        settled = who & (after.pivot_address >= 0)
        assert torch.allclose(after.pivot[settled], moved[settled], atol=1e-6)
    assert fresh > 20


def test_latest_follows_the_best_neighbour_even_if_it_is_worse() -> None:
    setup = make_setup(images=8, verifier=Function(lambda images, _: -images.flatten(1).norm(dim=1)))
    states = list(search(setup.problem, ZeroOrder(pivot="latest"), 12))
    addresses = torch.stack([state.pivot_address for state in states])
    assert (addresses.diff(dim=0) > 0).all()
    assert (torch.stack([s.pivot_score for s in states[1:]]).diff(dim=0) < 0).any()


def test_ascent_keeps_the_norm_and_climbs() -> None:
    x, g = torch.randn(2, 5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    moved = ascend(x, g, 0.1)
    assert torch.allclose(moved.flatten(1).norm(dim=1), x.flatten(1).norm(dim=1), rtol=1e-5)
    assert ((moved - x) * g).flatten(1).sum(1).min() > 0


def test_the_gradient_is_that_of_the_whole_flow() -> None:
    """Against central differences in float64 through network, guidance and solver."""
    setup = make_setup(images=3, nfe=5, scale=1.5)
    problem = setup.problem
    x = problem.noise(0).double().requires_grad_()
    (gradient,) = torch.autograd.grad(problem.evaluate(x[:, None]).sum(), x)
    for d in range(2):
        step = torch.zeros_like(x)
        step[..., d] = 1e-4
        with torch.no_grad():
            up, down = (problem.evaluate((x + sign * step)[:, None])[:, 0, 0] for sign in (1, -1))
        assert torch.allclose(gradient[..., d].flatten(), (up - down) / 2e-4, atol=1e-4)


@pytest.mark.parametrize("where", ["network", "verifier"])
def test_a_gradient_keeps_no_activations(where: str) -> None:
    """Bytes held for the backward pass of a whole search iteration do not grow with what happens inside a network."""

    def held(depth: int) -> int:
        def deep(x: Tensor) -> Tensor:
            for _ in range(depth):
                x = torch.tanh(x)
            return x

        def network(x: Tensor, t: Tensor, label: Tensor) -> Prediction:
            return Prediction(deep(x) if where == "network" else x, x)

        class Deep(Brightness):
            def score(self, candidates: Candidates) -> Tensor:
                return deep(candidates.images).flatten(2).mean(2)

        problem = make_setup(nfe=5, verifier=Deep()).problem
        problem.meters.network.network = network
        x, total = problem.noise(0).requires_grad_(), 0

        def pack(value: Tensor) -> Tensor:
            nonlocal total
            total += value.numel() * value.element_size()
            return value

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda value: value):
            scores = problem.evaluate(x[:, None])
        now = total
        torch.autograd.grad(scores.sum(), x)
        assert problem.meters.backward.count.tolist() == problem.meters.evaluations.count.tolist() == [5] * 6
        return now

    assert held(2) == held(200)


def test_first_order_search_refuses_a_verifier_without_a_gradient_by_name() -> None:
    setup = make_setup(verifier=Function(lambda images, _: images.flatten(1).mean(1), name="my own"))
    with pytest.raises(ValueError, match="verifier my own has no gradient"):
        FirstOrder().init(setup.problem, 3)


def test_ranks_ties_and_order() -> None:
    scores = torch.tensor([[3.0, 1.0, 2.0, 1.0]])
    assert ranks(scores).tolist() == [[3.0, 0.5, 2.0, 0.5]]
    assert top(scores, 3).tolist() == [[0, 2, 1]]
    assert take(scores, torch.tensor([2])).tolist() == [2.0]
    assert take(scores, torch.tensor([[1, 0]])).tolist() == [[1.0, 3.0]]


def test_an_ensemble_ranks_all_candidates_so_far_anew() -> None:
    """The winner at N is the best mean rank among the first N, not a running champion."""
    setup = make_setup(images=30, verifier=KINDS["ensemble"]())
    states = list(search(setup.problem, Random(), 12))
    for state in states[2:]:
        mean = sum(ranks(state.scores[..., v]) for v in range(2)) / 2
        assert torch.equal(Random().result(setup.problem, state, state.round).candidate, mean.argmax(1))


def test_members_of_an_ensemble_weigh_what_they_are_given_and_see_their_own_views() -> None:
    class Early(Likeness):
        needs = (0.7,)

    both = Ensemble({"late": Likeness(), "early": Early()}, {"early": 0})
    setup = make_setup(images=30, nfe=10, verifier=both)
    with torch.no_grad():
        scores = setup.problem.evaluate(setup.problem.noises(8))
        for v, alone in enumerate((Likeness(), Early())):
            own = make_setup(images=30, nfe=10, verifier=alone).problem
            assert torch.allclose(scores[..., v], own.evaluate(own.noises(8))[..., 0], atol=1e-6)
    assert not torch.equal(scores[..., 0].argmax(1), scores[..., 1].argmax(1))
    assert torch.equal(setup.problem.combine(scores).argmax(1), scores[..., 0].argmax(1))


def test_views_come_from_the_knot_nearest_to_their_level() -> None:
    """Against a flow stopped there by hand; ties go to the noisier knot, ends are refused."""
    setup = make_setup(images=4, nfe=10)
    problem = setup.problem
    grid = problem.grid(10)
    solution = problem.flow.solve(problem.noise(0), grid, torch.arange(4), levels=(0.4, 0.79))
    for level, view in zip((0.4, 0.8), solution.views.unbind(1), strict=True):
        stop = grid.times.index(pytest.approx(level))
        partial = problem.flow.solve(
            problem.noise(0), grid._replace(times=grid.times[: stop + 1], stages=grid.stages[:stop]), torch.arange(4)
        )
        assert torch.allclose(view, problem.flow.predict(partial.x, grid.times[stop], torch.arange(4)).x0, atol=1e-6)
    assert uniform_grid(4, "euler").nearest(0.375) == 2 and uniform_grid(10, "euler").nearest(0.45) == 5
    for level in (0.95, 0.02):
        with pytest.raises(ValueError, match="its nearest knot is an end"):
            uniform_grid(10, "heun").nearest(level)


def test_a_frozen_dataclass_of_hyper_parameters() -> None:
    for algorithm in (NoSearch(), Random(), ZeroOrder(), Paths(), FirstOrder()):
        assert dataclasses.is_dataclass(algorithm)
        with pytest.raises(dataclasses.FrozenInstanceError):
            algorithm.anything = 1


def test_the_cross_verifier_matrix_has_a_row_for_choices_that_no_column_made() -> None:
    bank = np.zeros((2, 3, 2))
    bank[0] = [[2, 0], [0, 2], [1, 1]]  # by the first: candidate 0, by the second: 1; a compromise: 2
    bank[1] = [[0, 0], [3, 0], [0, 3]]
    matrix = cross_matrix(bank, [np.array([2, 0])])
    away = bank - bank.mean(1, keepdims=True)
    spread = (away**2).mean((0, 1)) ** 0.5
    assert np.allclose(matrix * spread, [[1.5, -1.0], [-1.0, 1.5], [-0.5, -0.5]])
