"""Verifiers that are harder to hack: an ensemble with a gradient, a held-out verifier that stops, a group."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from noise_search.algorithms.dno import DNO
from noise_search.algorithms.first_order import FirstOrder
from noise_search.configuration.compose import composed, own_hydra
from noise_search.core.driver import search
from noise_search.core.observed import Observed
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.errors import Refused
from noise_search.measures.pairs import within
from noise_search.measures.scores import half_width, kernel_distance
from noise_search.run.description import Description, describe
from noise_search.verifiers.brightness import Brightness
from noise_search.verifiers.classifier import Classifier
from noise_search.verifiers.ensemble_mean import EnsembleMean
from noise_search.verifiers.group import Group
from noise_search.verifiers.held_out import HeldOut
from scripts import results_stopping_runs
from scripts.results_stopping import RULES, numbers, page, stopped
from scripts.stopping_numbers import apart, distance, sums_of, told
from tests.conftest import Eyes, Function, Likeness, make_setup
from tests.test_run import call, curve


class Slope(Function):
    """A function of images that has a gradient."""

    differentiable = True


def left(images: Tensor, condition: Tensor) -> Tensor:
    return images.flatten(1)[:, 0]


def right(images: Tensor, condition: Tensor) -> Tensor:
    return images.flatten(1)[:, 1]


def described(*overrides: str) -> Description:
    with own_hydra():
        return describe(*composed(overrides))


def test_a_log_probability_is_the_logarithm_of_the_probability() -> None:
    images = torch.rand(2, 3, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    seen = Candidates(images, torch.tensor([3, 8]))
    parts = {output: Classifier(0, 96, output, "float32") for output in ("probability", "log_probability")}
    found = {output: part.load(Surroundings()).score(seen) for output, part in parts.items()}
    assert torch.allclose(found["log_probability"], found["probability"].log(), atol=1e-5)
    assert parts["log_probability"].width == 1280


@pytest.mark.parametrize(("of", "expected"), [("mean", [0.5, -1.0]), ("least", [0.0, -3.0])])
def test_an_ensemble_of_scores_by_hand(of: str, expected: list[float]) -> None:
    both = EnsembleMean({"a": Brightness(), "b": Brightness()}, of, {"b": 2.0})
    scores = torch.tensor([[[1.0, 0.0], [1.0, -6.0]]])
    assert both.combine(scores, 4).tolist() == [expected] and both.climb(scores).tolist() == [expected]


def test_an_ensemble_of_scores_is_climbed_between_its_members() -> None:
    """Along the mean of two directions; it has a gradient where all have, and each has its column."""
    both = EnsembleMean({"left": Slope(left), "right": Slope(right)}, scales={"right": 0.5})
    assert both.differentiable and not EnsembleMean({"a": Slope(left), "b": Function(right)}).differentiable
    images = torch.zeros(1, 1, 1, 1, 2, requires_grad=True)
    scores = both.scores(Candidates(images, torch.tensor([0])))
    (gradient,) = torch.autograd.grad(both.climb(scores).sum(), images)
    assert gradient.flatten().tolist() == [0.5, 1.0] and scores.shape == (1, 1, 2)
    setup = make_setup(images=20, verifier=both)
    *_, state = search(setup.problem, FirstOrder(), 6)
    first = setup.problem.evaluate(setup.problem.noise(0)[:, None])[:, 0]
    assert (both.combine(state.best_score[:, None], 0)[:, 0] > both.combine(first[:, None], 0)[:, 0]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"of": "most"}, "of=most: one of mean, least"),
        ({"scales": {"a": 0.0}}, "scales=.*numbers above 0 for some of a"),
        ({"scales": {"b": 1.0}}, "scales=.*numbers above 0 for some of a"),
        ({"members": {}}, "members=.*at least one"),
    ],
)
def test_what_is_no_ensemble_of_scores_is_refused(options: dict, message: str) -> None:
    with pytest.raises(Refused, match=message):
        EnsembleMean(**({"members": {"a": Brightness()}} | options))


def way(problem_verifier: Verifier, algorithm: FirstOrder | DNO, rounds: int = 6) -> tuple[list, Tensor]:
    """All states, and [B, rounds, V], the scores of the noises on the way."""
    setup = make_setup(images=20, verifier=problem_verifier)
    states = list(search(setup.problem, algorithm, rounds - 1))
    scores = [setup.problem.evaluate(state.x[:, None])[:, 0] for state in states[:-1]]
    return states, torch.stack(scores, 1)


@pytest.mark.parametrize("algorithm", [FirstOrder(), DNO(learning_rate=0.4, block=1, shuffles=2)])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: Observed(v, {"likeness": Likeness()})])
def test_one_verifier_is_climbed_and_the_other_chooses(
    algorithm: FirstOrder | DNO, wrap: Callable[[Verifier], Verifier]
) -> None:
    plain, _ = way(Slope(left), algorithm)
    held, scores = way(wrap(HeldOut(Slope(left), Slope(lambda x, c: -(left(x, c) - 0.3).abs()))), algorithm)
    assert all(torch.equal(a.x, b.x) for a, b in zip(plain, held, strict=True))  # the same way
    assert torch.equal(held[-1].best_address, scores[..., 1].argmax(1))
    assert not torch.equal(held[-1].best_address, plain[-1].best_address)
    assert torch.allclose(held[-1].best_score, scores[torch.arange(20), held[-1].best_address], atol=1e-6)


def test_an_image_stops_where_it_is_good_enough() -> None:
    """At the first noise that reaches `enough`; where none does, at the best."""
    enough = 0.2
    states, scores = way(HeldOut(Slope(left), Slope(right), enough), FirstOrder())
    reached = scores[..., 1] >= enough
    expected = torch.where(reached.any(1), reached.int().argmax(1), scores[..., 1].argmax(1))
    assert torch.equal(states[-1].best_address, expected) and reached.any(1).any() and not reached.any(1).all()
    without, _ = way(HeldOut(Slope(left), Slope(right)), FirstOrder())
    assert not torch.equal(without[-1].best_address, expected)


def test_no_gradient_is_taken_of_what_is_held_out() -> None:
    images = torch.zeros(1, 1, 1, 1, 2, requires_grad=True)
    both = HeldOut(Slope(left), Slope(right))
    scores = both.scores(Candidates(images, torch.tensor([0])))
    (gradient,) = torch.autograd.grad(scores.sum(), images)
    assert gradient.flatten().tolist() == [1.0, 0.0]
    assert HeldOut(Slope(left), Function(right)).differentiable
    assert not HeldOut(Function(left), Slope(right)).differentiable


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("verifier=held_out", "algorithm=random"),
            "verifier held_out climbs one part and chooses by another: not with random, no gradient",
        ),
        (("verifier=held_out", "algorithm=zo", "observers=[classifier_ssl]"), "verifier held_out climbs one part"),
        (("verifier=held_out", "algorithm=first_order", "verifier.enough=much"), "verifier.enough=much: a number"),
        (("verifier=group", "algorithm=first_order"), r"with independent candidates \(algorithm=random\) only"),
        (("verifier=group", "verifier.weight=-1"), r"verifier.weight=-1: at least 0"),
        (("verifier=group", "verifier.group=0"), r"verifier.group=0: at least 1"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_plan(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(Refused, match=message):
        described(*overrides)


def test_eyes_must_have_features() -> None:
    with pytest.raises(Refused, match=r"eyes=.*a verifier with features"):
        Group(Brightness(), Brightness(), 1.0)


def columns(quality: float, condition: int, angle: float) -> list[float]:
    return [quality, condition, np.cos(angle), np.sin(angle)]


def test_the_worth_of_a_candidate_by_hand() -> None:
    """Three images of condition 5 and one of 2, each in the set with its candidate 0."""
    first = np.array([columns(0, 5, 0.0), columns(0, 5, np.pi / 2), columns(0, 5, np.pi), columns(0, 2, 0.0)])
    group = Group(Brightness(), Eyes(), weight=2.0)
    memory = group.begin(first.astype(np.float32), [1, 2])
    options = torch.tensor([[columns(0, 5, 0.0), columns(1, 5, np.pi / 2)], [columns(0, 2, 0.0), columns(1, 2, 1.0)]])
    worth = group.against(memory).combine(options, 2)
    # others of the first image: at 90 and 180 degrees: mean distance of 0 degrees (1 + 2) / 2, of 90 (0 + 1) / 2
    assert torch.allclose(worth, torch.tensor([[3.0, 1 + 1.0], [0.0, 1.0]]), atol=1e-6)
    assert group.against(memory).shown(options)[..., 0].tolist() == [[0, 1], [0, 1]] and group.members == ("",)

    chosen = np.array([columns(1, 5, np.pi / 2)], np.float32)  # at point 2 the first image moves, at point 1 it stays
    after = group.commit(memory, first[:1], {1: first[:1], 2: chosen})
    third = torch.tensor([[columns(0, 5, np.pi)]])
    assert float(group.against(after).combine(third, 1)) == pytest.approx(2 * (2 + 1) / 2, abs=1e-6)
    assert float(group.against(after).combine(third, 2)) == pytest.approx(2 * (1 + 1) / 2, abs=1e-6)


def test_a_group_is_more_diverse_than_the_best_of_each() -> None:
    rng = np.random.default_rng(0)
    images, k, d = 60, 8, 6
    seen = rng.normal(size=(images, k, d)) + np.array([2.0] + [0.0] * (d - 1))
    seen /= np.linalg.norm(seen, axis=2, keepdims=True)
    condition = np.broadcast_to((np.arange(images) % 3)[:, None, None], (images, k, 1))
    bank = np.concatenate([seen[..., :1], condition, seen], 2).astype(np.float32)  # quality: to be like all others

    def chosen(weight: float) -> np.ndarray:
        group = Group(Brightness(), Eyes(), weight, group=3)
        memory, out = group.begin(bank[:, 0], [k]), []
        for start in range(0, images, 3):
            part = bank[start : start + 3]
            best = group.against(memory).combine(torch.from_numpy(part), k).argmax(1).numpy()
            out.append(part[np.arange(3), best])
            memory = group.commit(memory, part[:, 0], {k: out[-1]})
        return np.concatenate(out)

    def diversity(found: np.ndarray) -> float:
        pairs = [(a[2:], b[2:]) for a, b in combinations(found, 2) if a[1] == b[1]]
        return float(np.mean([1 - a @ b for a, b in pairs]))

    none, some, much = (chosen(weight) for weight in (0.0, 1.0, 10.0))
    assert np.array_equal(none[:, 0], bank[..., 0].max(1))
    assert diversity(none) < diversity(some) < diversity(much)
    assert none[:, 0].mean() > some[:, 0].mean() > much[:, 0].mean()


def test_a_run_of_a_group_and_one_that_is_stopped(tmp_path: Path) -> None:
    small = ("images=12", "budget.search_nfe=2", "budget.final_nfe=4", "precision=float32", "logger=none")
    said = ("compile=false", "batch_size=12", "device=cpu", "metrics=none")
    call(tmp_path, *small, *said, "algorithm=random", "verifier=group", "budget.points=[1,3]", "hydra.run.dir=group")
    scores = {(row["metric"], row["nfe"]): row for row in curve(tmp_path / "group")}
    assert ("score_final", "4") in scores and scores["score_final", "4"]["network"] == "classifier Lite0 (logit)"
    stopped = ("algorithm=first_order", "verifier=held_out", "verifier.enough=-1", "budget.points=[0,2]")
    call(tmp_path, *small, *said, *stopped, "hydra.run.dir=stopped")
    networks = {row["metric"]: row["network"] for row in curve(tmp_path / "stopped")}
    assert networks["score_final/climbed"] == "classifier Lite0 (logit)"
    assert networks["score_final/held_out"] == "classifier Lite1 (logit)"


STOPPING = Path(__file__).parents[1] / "docs/results/stopping"


def test_the_committed_tables_are_what_the_kept_statistics_give() -> None:
    with np.load(STOPPING / "kept.npz") as stored:
        kept = dict(stored)
    text = STOPPING.with_suffix(".md").read_text()
    for name, table in page(kept).items():
        assert (STOPPING / f"{name}.md").read_text() == table + "\n" and table in text
    assert kept["scores"].shape == (7, 128, 2) and kept["nfe"].tolist() == [20, 40, 50, 60, 70, 90, 110]
    assert numbers(kept, "plain/70")["KID"][0] > 2 * numbers(kept, "Lite0 as real/70")["KID"][0]


def test_the_table_of_runs_is_what_is_kept_of_them() -> None:
    """Every number; and that the plain run turns where the one under a held-out verifier is not seen to."""
    with np.load(STOPPING / "runs.npz") as stored:
        kept = dict(stored)
    table = (STOPPING / "runs.md").read_text()
    assert results_stopping_runs.table(kept) + "\n" == table and table in STOPPING.with_suffix(".md").read_text()
    assert {name.split("/")[0] for name in kept} - {"real", "images"} == set(results_stopping_runs.RUNS)
    least = {}  # of what KID and IS may have risen by
    still = ("held_out", "log_probability", "ensemble_mean")
    for name in ("classifier", *still):
        low, high = (results_stopping_runs.numbers(kept, name, nfe) for nfe in (50, 70))
        changes = {metric: apart(high[metric], low[metric]) for metric in ("KID", "IS")}
        least[name] = {metric: value - half_width(left) for metric, (value, left) in changes.items()}
    assert max(least[name]["KID"] for name in still) < 0 < least["classifier"]["KID"]
    assert min(lowest["IS"] for lowest in least.values()) > 0


def test_a_kept_set_gives_the_distance_and_the_score_of_its_features() -> None:
    """As the package measures them, whole and without a group of images."""
    rng = np.random.default_rng(0)
    real, features = rng.normal(size=(60, 5)).astype(np.float32), rng.normal(size=(40, 5)).astype(np.float32) + 0.3
    reference = within(real)
    kept = {"real": reference.sums, "images": np.array([40, 60]), **sums_of("run/70", features, reference)}
    value, left = distance(kept, "run/70")
    assert value == pytest.approx(kernel_distance(features, real), rel=1e-5)
    assert left[0] == pytest.approx(kernel_distance(features[4:], real), rel=1e-5) and len(left) == 10
    assert told((1.0, np.zeros(10)), (0.75, np.zeros(10))) == "+0.250 [0.250, 0.250]"


@pytest.mark.parametrize("size", [0, 1])
def test_the_level_is_that_of_real_photographs(size: int) -> None:
    with np.load(STOPPING / "kept.npz") as stored:
        median = float(np.median(stored["real_logits"][size]))
    assert RULES[f"Lite{size} as real"] == (size, round(median, 2))


def test_an_image_stops_at_its_first_readout_that_is_enough() -> None:
    scores = np.array([[1.0, 5.0, 0.0], [3.0, 6.0, 2.0], [4.0, 7.0, 1.0]])
    both = np.stack([scores, -scores], 2)
    assert stopped(both, (0, 3.0)).tolist() == [1, 0, 1] and stopped(both, (1, np.inf)).tolist() == [0, 0, 0]
    assert stopped(both, None).tolist() == [2, 2, 2]
