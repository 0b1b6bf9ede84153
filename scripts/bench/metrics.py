"""The Frechet and the kernel distance beside scipy's matrix square root and torch-fidelity, on 1280 features."""

import numpy as np
import torch

from noise_search.measures.frechet import Gaussian, frechet_distance
from noise_search.measures.scores import kernel_distance
from scripts.bench.timing import Benchmark, Figure, Measured, Options, alternate, ratios, seconds_note

FRECHET_FIGURES = {
    "metrics.frechet.scipy": Figure("time of scipy's sqrtm / of the Frechet distance here, full rank"),
    "metrics.frechet.fidelity": Figure("time of torch-fidelity / of the Frechet distance here, full rank"),
    "metrics.frechet.difference": Figure("largest difference to either / the distance", "<= 1e-6"),
}
KERNEL_FIGURES = {
    "metrics.kid": Figure("time of torch-fidelity's KID, 100 subsets of 1,000 / of the kernel distance on all pairs"),
    "metrics.kid.difference": Figure("difference of both / spread of torch-fidelity's subsets", "<= 1"),
}


def gaussian(d: int, rng: np.random.Generator) -> Gaussian:
    scales = np.diag(rng.random(2 * d) + 0.5)
    return Gaussian(rng.standard_normal(d), np.cov(rng.standard_normal((2 * d, d)).T @ scales))


def frechet(options: Options) -> dict[str, Measured]:
    import scipy.linalg
    from torch_fidelity.metric_fid import fid_statistics_to_metric

    rng, found = np.random.default_rng(0), {}
    a, b = (gaussian(options.size(1280, 64), rng) for _ in range(2))

    def root() -> None:
        middle = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
        found["root"] = (a.mean - b.mean) @ (a.mean - b.mean) + np.trace(a.covariance + b.covariance - 2 * middle)

    def fidelity() -> None:
        pair = ({"mu": g.mean, "sigma": g.covariance} for g in (a, b))
        found["fidelity"] = fid_statistics_to_metric(*pair, verbose=False)["frechet_inception_distance"]

    def ours() -> None:
        found["ours"] = frechet_distance(a, Gaussian(b.mean, b.covariance))  # a new one: nothing is kept of it

    roots, theirs, own = alternate(options, root, fidelity, ours)
    note = f"{len(a.mean)} features; {seconds_note(sqrtm=roots, torch_fidelity=theirs, here=own)}"
    off = max(abs(found[name] - found["ours"]) for name in ("root", "fidelity")) / found["ours"]
    return {
        "metrics.frechet.scipy": Measured(ratios(roots, own), note),
        "metrics.frechet.fidelity": Measured(ratios(theirs, own), note),
        "metrics.frechet.difference": Measured([float(off)], f"of a distance of {found['ours']:.6g}"),
    }


def kernel(options: Options) -> dict[str, Measured]:
    from torch_fidelity.metric_kid import kid_features_to_metric

    rng, found = np.random.default_rng(0), {}
    n, d, subset = options.size(2000, 100), options.size(1280, 64), options.size(1000, 50)
    x, y = (rng.standard_normal((n, d), dtype=np.float32) + shift for shift in (np.float32(0.05), np.float32(0)))

    def fidelity() -> None:
        pair = torch.from_numpy(x), torch.from_numpy(y)
        found["fidelity"] = kid_features_to_metric(*pair, kid_subset_size=subset, verbose=False)

    def ours() -> None:
        found["ours"] = kernel_distance(x, y)

    theirs, own = alternate(options, fidelity, ours)
    mean, spread = (found["fidelity"][f"kernel_inception_distance_{name}"] for name in ("mean", "std"))
    seconds = seconds_note(torch_fidelity=theirs, here=own)
    return {
        "metrics.kid": Measured(ratios(theirs, own), f"{n:,} against {n:,} images, {d} features; {seconds}"),
        "metrics.kid.difference": Measured(
            [abs(mean - found["ours"]) / spread], f"{found['ours']:.6f} here, {mean:.6f} +- {spread:.6f} there"
        ),
    }


FRECHET, KERNEL = Benchmark(FRECHET_FIGURES, frechet, cpu_only=True), Benchmark(KERNEL_FIGURES, kernel, cpu_only=True)
