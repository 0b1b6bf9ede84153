"""Oracle FID: the change of the distance against its definition; greedy; groups; resuming."""

import tracemalloc

import numpy as np
import pytest
import torch

from noise_search.core.verifier import Surroundings
from noise_search.measures.frechet import Gaussian, frechet_distance
from noise_search.measures.judge import Judge, Space
from noise_search.measures.statistics import Statistics
from noise_search.verifiers.oracle_fid import Exchange, OracleFID

D, IMAGES, K = 4, 200, 8


def gaussian(features: np.ndarray) -> Gaussian:
    s = Statistics.of(features)
    return Gaussian(s.mean, s.covariance)


def judge_of(reference: Gaussian) -> Judge:
    def nothing(*_: object) -> None:
        raise AssertionError("not used here")

    return Judge("toy", "toy", nothing, nothing, Space(slice(None), reference, "", "toy"))


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
    verifier = OracleFID(IMAGES).load(Surroundings(judge=judge_of(reference)))
    memory = verifier.begin(candidates[:, 0], [K])
    chosen = []
    for start in range(0, IMAGES, group):
        part = candidates[start : start + group]
        scores = verifier.against(memory).combine(torch.from_numpy(part), K)
        chosen.append(part[np.arange(len(part)), scores.argmax(1).numpy()])
        memory = verifier.commit(memory, part[:, 0], {K: chosen[-1]})
    return np.concatenate(chosen)


@pytest.mark.parametrize(("d", "images", "real"), [(4, 200, 5000), (40, 12, 500), (40, 200, 25), (40, 12, 25)])
def test_the_change_of_the_distance_is_exact(d: int, images: int, real: int) -> None:
    """Also where the covariance of the set, of the reference, or of both is singular, and for candidates far away."""
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((d, d)) * np.exp(-np.arange(d) / 5)
    reference = gaussian(rng.standard_normal((real, d)) @ mix)
    current = 0.6 * rng.standard_normal((images, d)) @ mix + 0.5
    options = np.concatenate([0.6 * rng.standard_normal((6, d)) @ mix, 5 * rng.standard_normal((2, d)) @ mix])
    exchange, before = Exchange.of(Statistics.of(current), reference), frechet_distance(gaussian(current), reference)
    for image in range(3):
        expected = exact(reference, current, image, options) - before
        found = exchange.change(current[image], options)
        assert np.allclose(found, expected, rtol=1e-6, atol=1e-6 * before)
        assert abs(exchange.change(current[image], current[image])) < 1e-9 * before


def test_the_memory_of_a_comparison_does_not_grow_with_the_group(world: tuple[Gaussian, np.ndarray]) -> None:
    d, k = 64, 32
    rng = np.random.default_rng(0)
    judge = judge_of(gaussian(rng.standard_normal((500, d))))
    verifier = OracleFID(2).load(Surroundings(judge=judge))
    verifier = verifier.against(verifier.begin(rng.standard_normal((200, d)), [k]))
    peaks = {}
    for images in (1, 100):
        features = torch.from_numpy(rng.standard_normal((images, k, d)).astype(np.float32))
        tracemalloc.start()
        found = verifier.combine(features, k)
        peaks[images] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peaks[100] < 2 * peaks[1]
    at_once = -verifier.exchanges[k].change(features.numpy()[:, :1], features.numpy())
    assert torch.equal(found, torch.from_numpy(at_once).float())


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


def test_groups_are_two_percent_of_the_images_whatever_the_batch() -> None:
    assert [OracleFID(n).group for n in (2, 49, 100, 1000, 50_000)] == [1, 1, 2, 20, 1000]
    for bad in ({"share": 0.03}, {"share": 0.0}):
        with pytest.raises(ValueError, match=r"^share="):
            OracleFID(100, **bad)
