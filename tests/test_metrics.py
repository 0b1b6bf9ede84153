"""Metrics against their definitions, against torch-fidelity, and against themselves in other orders."""

import numpy as np
import pytest
import scipy.linalg
from torch_fidelity.metric_fid import fid_statistics_to_metric

from noise_search.measures.frechet import Gaussian, frechet_distance
from noise_search.measures.judge import Space
from noise_search.measures.scores import inception_score, jackknife_error, kernel_distance, precision_recall
from noise_search.measures.statistics import Statistics
from noise_search.measures.usual import precision_recall_metrics
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
    assert inception_score(certain) == pytest.approx(10)
    assert inception_score(np.full((50, 10), 0.1)) == pytest.approx(1)
    assert inception_score(certain[:, :] * 0 + certain[0]) == pytest.approx(1)


def test_precision_and_recall_see_collapse_and_strays() -> None:
    rng = np.random.default_rng(0)
    real = rng.standard_normal((400, 3))
    assert min(precision_recall(rng.standard_normal((400, 3)), real)[0]) > 0.8
    collapsed = 0.05 * rng.standard_normal((400, 3))
    precision, recall = precision_recall(collapsed, real)[0]
    assert precision > 0.95 and recall < 0.3
    wide = 4 * rng.standard_normal((400, 3))
    assert precision_recall(wide, real)[0][0] < 0.4


@pytest.mark.parametrize("counts", [(200, 80), (47, 90), (60, 60)])
def test_precision_and_recall_are_the_definition_also_without_each_group(counts: tuple[int, int]) -> None:
    x, y = np.split(correlated(sum(counts), 6, 0), counts[:1])
    y = y + 0.5

    def reached(a: np.ndarray, b: np.ndarray) -> float:
        """Share of a within some ball of b's."""
        radii = [sorted(np.linalg.norm(b - centre, axis=1))[3] for centre in b]
        return float(np.mean([any(np.linalg.norm(b - image, axis=1) <= radii) for image in a]))

    values, left_out = precision_recall(x, y, groups=10)
    assert values == pytest.approx((reached(x, y), reached(y, x))) and 0.05 < min(values) < 1
    for g, found in enumerate(left_out):
        rest = x[np.arange(len(x)) * 10 // len(x) != g]
        assert found == pytest.approx((reached(rest, y), reached(y, rest)))
    assert precision_recall(x, y)[0] == values


def test_precision_and_recall_name_both_counts() -> None:
    """Of all samples and all real images, or of as many of each."""
    x, y = np.split(correlated(150, 6, 0), [90])
    main = Space(slice(None), gaussian(y), "real", "net")
    for equal, n, told in ((False, 90, "real, 60 images"), (True, 60, "real")):
        metrics = precision_recall_metrics(main, lambda: y, "real", equal)
        for metric, value in ((metric, metric.of_set(x, np.zeros(90, np.int64))) for metric in metrics):
            assert (value.images, value.real) == (n, 60) and reference(metric, value) == told
            assert cells(value, 90)["n_images"] == n and value.low < value.value < value.high
            assert value.value == precision_recall(x[:n], y)[0][["precision", "recall"].index(metric.name)]


def test_the_kernel_does_not_depend_on_its_blocks() -> None:
    x, y = correlated(50, 5, 0), correlated(40, 5, 1)
    assert kernel_distance(x, y, block=7) == pytest.approx(kernel_distance(x, y), rel=1e-12)


@pytest.mark.parametrize("classes", [1, 10])
def test_jackknife_covers_the_truth(classes: int) -> None:
    """Of images whose ids cycle through classes with different means too: no group may be one class."""
    rng, hits, n = np.random.default_rng(0), 0, 200
    means = np.arange(n) % classes
    for _ in range(300):
        x = means + rng.exponential(1.0, n)
        (error,) = jackknife_error(lambda chosen, x=x: (float(x[chosen].mean()),), n)
        hits += abs(x.mean() - 1.0 - means.mean()) < 1.96 * error
    assert 0.86 < hits / 300 < 0.99
