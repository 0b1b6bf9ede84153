"""Oracle FID: the first variation against the exact greedy choice; groups; resuming."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from noise_search.metrics.frechet import Gaussian, frechet_distance
from noise_search.metrics.judges import Judge, whole
from noise_search.metrics.statistics import Statistics
from noise_search.verifiers.oracle_fid import OracleFID, first_variation

D, IMAGES, K = 4, 200, 8


def gaussian(features: np.ndarray) -> Gaussian:
    s = Statistics.of(features)
    return Gaussian(s.mean, s.covariance)


def judge_of(reference: Gaussian) -> Judge:
    def nothing(*_: object) -> None:
        raise AssertionError("not used here")

    return Judge("toy", "toy", nothing, nothing, whole(reference, "", "toy"), nothing, "", nothing, "")


@pytest.fixture(scope="module")
def world() -> tuple[Gaussian, np.ndarray]:
    """A reference, and candidates [IMAGES, K, D] from a shifted, narrower distribution."""
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((D, D))
    reference = gaussian(rng.standard_normal((5000, D)) @ mix)
    return reference, (0.6 * rng.standard_normal((IMAGES, K, D)) @ mix + 0.5).astype(np.float32)


def exact(reference: Gaussian, current: np.ndarray, image: int, options: np.ndarray) -> np.ndarray:
    """The true distance of the whole set after each candidate took its image's place."""
    out = []
    for option in options:
        changed = current.copy()
        changed[image] = option
        out.append(frechet_distance(gaussian(changed), reference))
    return np.array(out)


def greedy(reference: Gaussian, candidates: np.ndarray, group: int) -> np.ndarray:
    """The set [IMAGES, D] that the verifier chooses, in groups of `group`."""
    verifier = OracleFID(judge_of(reference), IMAGES)
    memory = verifier.begin(candidates[:, 0], [K])
    chosen = []
    for start in range(0, IMAGES, group):
        part = candidates[start : start + group]
        scores = verifier.against(memory).combine(torch.from_numpy(part), K)
        chosen.append(part[np.arange(len(part)), scores.argmax(1).numpy()])
        memory = verifier.commit(memory, part[:, 0], {K: chosen[-1]})
    return np.concatenate(chosen)


def test_the_first_variation_orders_candidates_as_the_exact_distance(world: tuple[Gaussian, np.ndarray]) -> None:
    reference, candidates = world
    current = candidates[:, 0]
    potential = first_variation(gaussian(current), reference, 1e-6)
    for image in range(10):
        change = exact(reference, current, image, candidates[image])
        assert spearmanr(potential.of(candidates[image]), change).statistic > 0.95


def test_the_first_variation_is_the_derivative(world: tuple[Gaussian, np.ndarray]) -> None:
    """n times the exact change of the distance tends to the difference of potentials as one image moves a little."""
    reference, candidates = world
    current = candidates[:, 0].astype(np.float64)
    potential = first_variation(gaussian(current), reference, 1e-12)
    for image in range(5):
        moved = current[image] + 1e-3
        before = frechet_distance(gaussian(current), reference)
        change = exact(reference, current, image, moved[None])[0] - before
        expected = float(potential.of(moved) - potential.of(current[image])) / IMAGES
        assert change == pytest.approx(expected, rel=0.03)


def test_small_groups_come_near_the_exact_greedy_choice_and_stale_statistics_do_not(
    world: tuple[Gaussian, np.ndarray],
) -> None:
    reference, candidates = world
    current = candidates[:, 0].copy()
    for image in range(IMAGES):
        current[image] = candidates[image][exact(reference, current, image, candidates[image]).argmin()]
    distance = {
        "none": frechet_distance(gaussian(candidates[:, 0]), reference),
        "exact": frechet_distance(gaussian(current), reference),
        "groups": frechet_distance(gaussian(greedy(reference, candidates, IMAGES // 50)), reference),
        "stale": frechet_distance(gaussian(greedy(reference, candidates, IMAGES)), reference),
    }
    assert distance["groups"] < 0.25 * distance["none"]
    assert distance["groups"] < distance["exact"] + 0.1 * distance["none"]
    assert distance["stale"] > 2 * distance["groups"]


def test_groups_are_two_percent_of_the_images_whatever_the_batch(world: tuple[Gaussian, np.ndarray]) -> None:
    judge = judge_of(world[0])
    assert [OracleFID(judge, n).group for n in (2, 49, 100, 1000, 50_000)] == [1, 1, 2, 20, 1000]
    for bad in ({"share": 0.03}, {"share": 0.0}, {"eps": 0.0}):
        with pytest.raises(ValueError, match="verifier\\."):
            OracleFID(judge, 100, **bad)
