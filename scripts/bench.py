"""How much of a search's time its networks take, what one search for all budgets saves, and what the Frechet
distance's trace term costs.

    python scripts/bench.py [any override of run.py, e.g. device=cuda cfg_scale=2]      (about 6 minutes on two cores)

efficiency = time of the bare denoiser, decoder and verifier on the same rows, each at its best batch / wall time of
the search. Median of paired repetitions; run nothing else on the machine meanwhile.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import scipy.linalg
import torch
from torch_fidelity.metric_fid import fid_statistics_to_metric

from noise_search.configuration.compose import composed, own_hydra
from noise_search.core.driver import search
from noise_search.core.verifier import Candidates
from noise_search.measures.frechet import Gaussian, frechet_distance
from noise_search.run.assemble import assemble
from noise_search.run.description import describe
from noise_search.run.parts import Parts, begin
from noise_search.run.search_units import begin_work, search_and_render

CANDIDATES, REPETITIONS = 4, 3
PAPER_POINTS = {
    "random": (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256),
    "zo": (0, 1, 2, 4, 8, 16, 32, 48, 64, 96, 128),
}


def clock(call: Callable[[], object]) -> float:
    """Seconds of one call, the device's queue included."""
    started = time.perf_counter()
    call()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def best_rate(call: Callable[[int], object], sizes: tuple[int, ...]) -> tuple[int, float]:
    """The batch size with the most rows a second, and that rate."""
    rates = {}
    for size in sizes:
        call(size)
        rates[size] = 3 * size / clock(lambda size=size: [call(size) for _ in range(3)])
    best = max(rates, key=lambda size: rates[size])
    return best, rates[best]


@torch.no_grad()
def efficiency(parts: Parts) -> None:
    images = parts.batch_size
    problem = begin(parts, list(range(images)))
    device, shape, null = parts.device, parts.model.shape, parts.model.classes
    rows = images * CANDIDATES * parts.budget.search_nfe * parts.settings.guidance.rows
    x = torch.randn(4 * images, *shape, device=device)
    pictures = parts.model.decoder(x[:images]).clamp(-1, 1)
    t, label = torch.rand(4 * images, device=device), torch.randint(null, (4 * images,), device=device)

    def denoise(n: int) -> object:
        return parts.model.network(x[:n], t[:n], label[:n])

    def verify(n: int) -> object:
        return parts.verifier.score(Candidates(pictures[:n, None], label[:n]))

    sizes = tuple(size for size in (images // 4, images // 2, images) if size)
    list(search(problem, parts.algorithm, 1))
    ratios, shares, line = [], [], ""
    for _ in range(REPETITIONS):
        (batch, rate), (_, decoded), (_, verified) = (
            best_rate(denoise, (*sizes, 2 * images)),
            best_rate(lambda n: parts.model.decoder(x[:n]), sizes),
            best_rate(verify, sizes),
        )
        wall = clock(lambda: list(search(problem, parts.algorithm, CANDIDATES)))
        bare = rows / rate + images * CANDIDATES * (1 / decoded + 1 / verified)
        ratios.append(bare / wall)
        shares.append(rows / rate / wall)
        line = f"denoiser {rate:.0f} rows/s (batch {batch}), decoder {decoded:.0f}, verifier {verified:.0f} images/s"
    print(f"{images} images, {CANDIDATES} candidates, {rows} network rows on {device}: {line}")
    print(f"efficiency {statistics.median(ratios):.3f} (denoiser's share {statistics.median(shares):.3f})")
    print(f"  each repetition: {', '.join(f'{ratio:.3f}' for ratio in ratios)}")


def anytime(algorithm: str, overrides: list[str], images: int = 32) -> None:
    """One sweep over the paper's eleven points against a run of each, at a twenty-fifth of the paper's NFE: the clock,
    and what was metered."""

    def measure(points: tuple[int, ...]) -> tuple[float, int]:
        budget = ("budget.search_nfe=2", "budget.final_nfe=10", f"budget.points=[{','.join(map(str, points))}]")
        parts = open_run(*overrides, f"algorithm={algorithm}", *budget)
        problem = begin(parts, list(range(images)))
        work = begin_work(parts, images)
        seconds = clock(lambda: search_and_render(parts, problem, work))
        return seconds, int(problem.meters.evaluations.count.sum())

    points = PAPER_POINTS[algorithm]
    measure(points[:2])
    before, alone, after = measure(points), [measure((point,)) for point in points], measure(points)
    together = (before[0] + after[0]) / 2  # a machine's speed drifts
    seconds, nfe = (sum(values) for values in zip(*alone, strict=True))
    print(f"{algorithm}: a sweep of {len(points)} budgets takes {together / seconds:.3f} of the single runs' time,")
    print(f"  and {before[1] / nfe:.3f} of their NFE ({together:.1f} s against {seconds:.1f} s, {images} images)")


def trace_term(d: int) -> None:
    """The Frechet distance of full-rank statistics: ours, the matrix square root, torch-fidelity."""
    rng = np.random.default_rng(0)
    a, b = (
        Gaussian(rng.standard_normal(d), np.cov(rng.standard_normal((2 * d, d)).T @ np.diag(rng.random(2 * d) + 0.5)))
        for _ in range(2)
    )
    results = {}

    def root() -> float:
        middle = scipy.linalg.sqrtm(a.covariance @ b.covariance).real
        return float((a.mean - b.mean) @ (a.mean - b.mean) + np.trace(a.covariance + b.covariance - 2 * middle))

    def fidelity() -> float:
        pair = ({"mu": g.mean, "sigma": g.covariance} for g in (a, b))
        return float(fid_statistics_to_metric(*pair, verbose=False)["frechet_inception_distance"])

    def ours() -> float:
        return frechet_distance(a, Gaussian(b.mean, b.covariance))

    for name, call in {"symmetric eigenvalues": ours, "matrix square root": root, "torch-fidelity": fidelity}.items():
        seconds = clock(lambda call=call, name=name: results.__setitem__(name, call()))
        print(f"  {name:<22} {seconds:6.2f} s   {results[name]:.9f}")


def open_run(*overrides: str) -> Parts:
    """What `run.py` would build."""
    with own_hydra():
        return assemble(describe(*composed(overrides)))


def main() -> None:
    efficiency(open_run(*sys.argv[1:]))
    for algorithm in PAPER_POINTS:
        anytime(algorithm, sys.argv[1:])
    print("Frechet distance of 1280-dimensional statistics:")
    trace_term(1280)


if __name__ == "__main__":
    main()
