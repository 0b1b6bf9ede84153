"""Metrics against their definitions, against torch-fidelity, and against themselves in other orders."""

import tracemalloc

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from torch_fidelity.metric_fid import fid_statistics_to_metric

from noise_search.measures.frechet import Gaussian, frechet_distance, frechet_distance_of
from noise_search.measures.judge import Space
from noise_search.measures.pairs import between, within
from noise_search.measures.scores import (
    GROUPS,
    QUANTILE,
    half_width,
    inception_score,
    kernel_distance,
    kernel_distance_of,
    precision_recall,
)
from noise_search.measures.statistics import Statistics
from noise_search.measures.usual import Comparison, class_metrics, kernel_metric, precision_recall_metrics
from noise_search.run.evaluate import cells, reference


def correlated(n: int, d: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) / d**0.5 + rng.standard_normal(d)


def gaussian(x: np.ndarray) -> Gaussian:
    return Gaussian(x.mean(0), np.cov(x.T))


def test_frechet_agrees_with_the_matrix_square_root_and_with_torch_fidelity() -> None:
    a, b = gaussian(correlated(400, 64, 0)), gaussian(correlated(500, 64, 1))
    root = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
    shift = a.mean - b.mean
    definition = shift @ shift + np.trace(a.covariance + b.covariance - 2 * root)
    ours = frechet_distance(a, b)
    assert ours == pytest.approx(definition, rel=1e-6)
    theirs = fid_statistics_to_metric(
        {"mu": a.mean, "sigma": a.covariance}, {"mu": b.mean, "sigma": b.covariance}, verbose=False
    )["frechet_inception_distance"]
    assert ours == pytest.approx(theirs, rel=1e-6)


def test_frechet_of_rank_deficient_statistics() -> None:
    a, b = gaussian(correlated(20, 64, 0)), gaussian(correlated(30, 64, 1))
    small = np.linalg.eigvals(a.covariance @ b.covariance)
    shift = a.mean - b.mean
    definition = shift @ shift + np.trace(a.covariance + b.covariance) - 2 * np.sqrt(np.abs(small)).sum()
    assert frechet_distance(a, b) == pytest.approx(definition, rel=1e-5)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-5)


def test_frechet_of_known_gaussians() -> None:
    a = Gaussian(np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    b = Gaussian(np.array([1.0, 0, 0]), np.diag([4.0, 4.0, 1.0]))
    assert frechet_distance(a, b) == pytest.approx(1 + 1 + 0 + 4)


def test_statistics_add_up_in_any_split_and_order() -> None:
    x = correlated(300, 16, 3) + 100
    origin = x[:10].mean(0)
    whole = Statistics.of(x, origin)
    parts = [Statistics.of(part, origin) for part in np.split(x, [7, 100, 250])]
    merged = parts[2] + parts[0] + parts[3] + parts[1]
    assert np.allclose(whole.covariance, np.cov(x.T), rtol=1e-10)
    assert np.allclose(merged.mean, x.mean(0), rtol=1e-14)
    assert np.allclose(merged.covariance, whole.covariance, rtol=1e-10)
    assert np.allclose((merged - parts[1]).mean, np.delete(x, range(7, 100), 0).mean(0), rtol=1e-12)


def test_statistics_refuse_to_mix_origins_and_sizes() -> None:
    x = correlated(10, 4, 0)
    with pytest.raises(ValueError, match="cannot be added"):
        Statistics.of(x) + Statistics.of(x, x.mean(0))
    with pytest.raises(ValueError, match="cannot be added"):
        Statistics.of(x) + Statistics.of(x[:, :2])
    with pytest.raises(ValueError, match="at least 2"):
        _ = Statistics.of(x[:1]).covariance


def test_kernel_distance_is_the_definition_and_unbiased() -> None:
    x, y = correlated(7, 5, 0), correlated(6, 5, 1)

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return (a @ b / 5 + 1) ** 3

    xx = np.mean([k(x[i], x[j]) for i in range(7) for j in range(7) if i != j])
    yy = np.mean([k(y[i], y[j]) for i in range(6) for j in range(6) if i != j])
    xy = np.mean([k(a, b) for a in x for b in y])
    assert kernel_distance(x, y) == pytest.approx(xx + yy - 2 * xy)
    rng = np.random.default_rng(0)
    same = [kernel_distance(rng.standard_normal((40, 4)), rng.standard_normal((60, 4))) for _ in range(400)]
    assert abs(np.mean(same)) < 4 * np.std(same) / 20


def test_inception_score_of_known_predictions() -> None:
    certain = np.eye(10)[np.arange(50) % 10]
    assert inception_score(certain).value == pytest.approx(10)
    assert inception_score(np.full((50, 10), 0.1)).value == pytest.approx(1)
    assert inception_score(certain[:, :] * 0 + certain[0]).value == pytest.approx(1)


def shares(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Precision and recall."""
    precision, recall = precision_recall(x, y)
    return precision.value, recall.value


def test_precision_and_recall_see_collapse_and_strays() -> None:
    rng = np.random.default_rng(0)
    real = rng.standard_normal((400, 3))
    assert min(shares(rng.standard_normal((400, 3)), real)) > 0.8
    collapsed = 0.05 * rng.standard_normal((400, 3))
    precision, recall = shares(collapsed, real)
    assert precision > 0.95 and recall < 0.3
    wide = 4 * rng.standard_normal((400, 3))
    assert shares(wide, real)[0] < 0.4


@pytest.mark.parametrize("counts", [(200, 80), (47, 90), (60, 60)])
def test_precision_and_recall_are_the_definition_also_without_each_group(counts: tuple[int, int]) -> None:
    x, y = np.split(correlated(sum(counts), 6, 0), counts[:1])
    y = y + 0.5

    def reached(a: np.ndarray, b: np.ndarray) -> float:
        """Share of a within some ball of b's."""
        radii = [sorted(np.linalg.norm(b - centre, axis=1))[3] for centre in b]
        return float(np.mean([any(np.linalg.norm(b - image, axis=1) <= radii) for image in a]))

    precision, recall = precision_recall(x, y, groups=10)
    values = precision.value, recall.value
    assert values == pytest.approx((reached(x, y), reached(y, x))) and 0.05 < min(values) < 1
    for g in range(10):
        rest = x[np.arange(len(x)) * 10 // len(x) != g]
        found = precision.left_out[g], recall.left_out[g]
        assert found == pytest.approx((reached(rest, y), reached(y, rest)))
    assert shares(x, y) == values


def test_precision_and_recall_name_both_counts() -> None:
    """Of all samples and all real images, or of as many of each."""
    x, y = np.split(correlated(150, 6, 0), [90])
    main = Space(slice(None), gaussian(y), "real", "net")
    for equal, n, told in ((False, 90, "real, 60 images"), (True, 60, "real")):
        metrics = precision_recall_metrics(Comparison(main, lambda: y), "real", equal)
        for metric, value in ((metric, metric.of_set(x, np.zeros(90, np.int64))) for metric in metrics):
            assert (value.images, value.real) == (n, 60) and reference(metric, value) == told
            assert cells(value, 90)["n_images"] == n and value.low < value.value < value.high
            assert value.value == shares(x[:n], y)[["precision", "recall"].index(metric.name)]


def test_the_kernel_does_not_depend_on_its_blocks() -> None:
    x, y = correlated(50, 5, 0), correlated(40, 5, 1)
    assert kernel_distance(x, y, block=7) == pytest.approx(kernel_distance(x, y), rel=1e-12)


@pytest.mark.parametrize("classes", [1, 10])
def test_jackknife_covers_the_truth(classes: int) -> None:
    """Of images whose ids cycle through classes with different means too: no group may be one class."""
    rng, hits, n = np.random.default_rng(0), 0, 200
    means = np.arange(n) % classes
    for _ in range(1000):
        x = means + rng.exponential(1.0, n)
        half = half_width(np.array([x[rest].mean() for rest in without_each(n)]))
        hits += abs(x.mean() - 1.0 - means.mean()) < half
    assert 0.925 < hits / 1000 < 0.975
    assert pytest.approx(scipy.stats.t.ppf(0.975, GROUPS - 1), rel=1e-12) == QUANTILE


def without_each(n: int) -> list[np.ndarray]:
    """The images that are left without each group."""
    return [np.flatnonzero(np.arange(n) * GROUPS // n != g) for g in range(GROUPS)]


@pytest.mark.parametrize(("n", "m", "side"), [(203, 150, 1000), (203, 150, 17), (20, 31, 1000)])
def test_the_kernel_distance_without_each_group_is_measured_anew(n: int, m: int, side: int) -> None:
    x, y = np.split(correlated(n + m, 6, 0), [n])
    real = within(y, side=side)
    samples = within(x, groups=GROUPS, origin=real.origin, side=side)
    found = kernel_distance_of(samples, real, between(samples, real))
    assert found.value == pytest.approx(kernel_distance(x, y), rel=1e-11)
    again = [kernel_distance(x[rest], y) for rest in without_each(n)]
    assert found.left_out == pytest.approx(again, rel=1e-10)


@pytest.mark.parametrize(("splits", "shuffle"), [(1, False), (1, True), (10, False), (10, True)])
def test_the_inception_score_without_each_group_is_measured_anew(splits: int, shuffle: bool) -> None:
    p = np.random.default_rng(0).dirichlet(np.full(5, 0.3), 127).astype(np.float32)
    found = inception_score(p, splits, shuffle, GROUPS)
    assert found.value == pytest.approx(inception_score(p, splits, shuffle).value, rel=1e-12)
    again = [inception_score(p[rest], splits, shuffle).value for rest in without_each(127)]
    assert found.left_out == pytest.approx(again, rel=1e-12)


def test_what_float32_products_cost() -> None:
    """Of features as a network makes them, with a common mean: KID to 1e-6 of the kernel, shares to a sample."""
    x = np.maximum(correlated(700, 64, 0) + 2, 0)
    x, y = np.split(x, [400])
    y = 1.02 * y
    exact, found = kernel_distance(x, y), kernel_distance(x.astype(np.float32), y.astype(np.float32))
    kernel = np.mean((x @ y.T / 64 + 1) ** 3)
    assert abs(found - exact) < 1e-6 * kernel
    small = precision_recall(x.astype(np.float32), y.astype(np.float32), groups=10)
    for a, b in zip(precision_recall(x, y, groups=10), small, strict=True):
        assert abs(a.value - b.value) <= 1 / 300 and np.abs(a.left_out - b.left_out).max() <= 1 / 300


def test_a_judge_tells_every_interval_as_if_each_group_had_been_measured_anew() -> None:
    """Below ten times as many images as a number needs there is none; both halves of an interval are as long."""
    x, y = np.split(correlated(150, 6, 0).astype(np.float32), [90])
    compared = Comparison(Space(slice(None), gaussian(y), "real", "net"), lambda: y)
    index = np.zeros(90, np.int64)
    distance, (precision, _) = kernel_metric(compared, "real"), precision_recall_metrics(compared, "real", False)
    half = half_width(np.array([kernel_distance(x[rest], y) for rest in without_each(90)]))
    value = distance.of_set(x, index)
    assert value.value == pytest.approx(kernel_distance(x, y), abs=1e-7)
    assert value.high - value.value == pytest.approx(half, rel=1e-4)
    assert value.value - value.low == pytest.approx(half, rel=1e-4)
    for n, told in (
        (1, (False, False)),
        (19, (False, False)),
        (20, (True, False)),
        (39, (True, False)),
        (40, (True, True)),
    ):
        few = x[:n].copy()
        found = distance.of_set(few, index[:n]), precision.of_set(few, index[:n])
        assert tuple(one.low is not None for one in found) == told
    score = class_metrics(lambda f: np.abs(f[:, :3]) + 0.1, "probe", None, splits=3)[0]
    assert score.of_set(x[:2].copy(), index[:2]).value is None and score.of_set(x[:29].copy(), index[:29]).low is None
    assert score.of_set(x[:30].copy(), index[:30]).low is not None


def test_few_images_have_the_frechet_distance_of_the_large_matrix() -> None:
    a, b = correlated(40, 64, 0), gaussian(correlated(500, 64, 1))
    assert frechet_distance_of(a, b) == pytest.approx(frechet_distance(Gaussian.of(a), b), rel=1e-7)
    assert frechet_distance_of(a[:2], b) == pytest.approx(frechet_distance(Gaussian.of(a[:2]), b), rel=1e-7)
    many = correlated(65, 64, 2)
    assert frechet_distance_of(many, b) == frechet_distance(Gaussian.of(many), b)
    deficient = gaussian(correlated(30, 64, 1))
    assert frechet_distance_of(a, deficient) == pytest.approx(frechet_distance(Gaussian.of(a), deficient), rel=1e-6)


def test_pairs_are_never_all_in_memory() -> None:
    """Of 6,000 images and 3,000 real ones: the pairs of one block, not 100 MB and more of float32."""
    x, y = np.split(np.random.default_rng(0).standard_normal((9000, 8), dtype=np.float32), [6000])
    tracemalloc.start()
    try:
        real = within(y, 3)
        samples = within(x, 3, GROUPS, real.origin)
        between(samples, real)
        assert tracemalloc.get_traced_memory()[1] < 40e6
    finally:
        tracemalloc.stop()
