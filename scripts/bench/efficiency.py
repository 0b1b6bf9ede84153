"""How much of a search's time its networks take.

The bare denoiser, decoder and verifier, each at its best batch and called as the search calls it (one time for all
rows, modulations shared by the rows of a class), against the whole search of the same rows.
"""

import statistics
from collections.abc import Callable, Sequence

import torch

from noise_search.core.driver import search
from noise_search.core.verifier import Candidates
from noise_search.run.parts import Parts, begin
from scripts.bench.timing import Benchmark, Figure, Measured, Options, clock, open_run

FIGURES = {
    "efficiency": Figure(
        "time of the bare denoiser, decoder and verifier at their best batch / time of a search of the same rows",
        ">= 0.95",
    )
}


def best_rate(call: Callable[[int], object], sizes: Sequence[int], options: Options) -> tuple[int, float]:
    """The batch size with the most rows a second, and that rate."""
    rates = {}
    for size in sizes:
        call(size)
        rates[size] = 3 * size / clock(lambda size=size: [call(size) for _ in range(3)], options)
    best = max(rates, key=lambda size: rates[size])
    return best, rates[best]


def bare_calls(parts: Parts, images: int) -> tuple[Callable[[int], object], ...]:
    """Denoiser, decoder and verifier alone: each a call on n rows, n up to 2 * images."""
    device, model = parts.device, parts.model
    assert model.classes is not None
    x = torch.randn(2 * images, *model.shape, device=device)
    pictures = model.decoder(x).clamp(-1, 1)
    t, labels = torch.full((len(x),), 0.5, device=device), torch.arange(model.classes, device=device)
    rows = torch.arange(len(x), device=device) % model.classes
    return (
        lambda n: model.network(x[:n], t[:n], labels, rows=rows[:n]),
        lambda n: model.decoder(x[:n]),
        lambda n: parts.verifier.score(Candidates(pictures[:n, None], rows[:n])),
    )


@torch.no_grad()
def measure(options: Options) -> dict[str, Measured]:
    candidates = options.size(2, 2)
    parts = open_run(options)
    images = options.size(parts.batch_size, 8)
    problem, calls = begin(parts, list(range(images))), bare_calls(parts, images)
    evaluations = images * candidates * problem.search_nfe
    sizes = (images // 4, images // 2, images, 2 * images)
    shares, note = [], ""

    def whole() -> None:
        list(search(problem, parts.run.algorithm, candidates))

    whole()
    for _ in range(options.repeat):
        (batch, rate), (_, decoded), (_, verified) = (best_rate(call, sizes, options) for call in calls)
        bare = evaluations / rate + images * candidates * (1 / decoded + 1 / verified)
        wall = clock(whole, options)
        shares.append((bare / wall, evaluations / rate / wall))
        note = f"denoiser {rate:.0f} rows/s (batch {batch}), decoder {decoded:.0f}, verifier {verified:.0f} images/s"
    denoiser = statistics.median(share for _, share in shares)
    note = f"{images} images, {candidates} candidates of {problem.search_nfe} NFE; {note}"
    return {"efficiency": Measured([share for share, _ in shares], f"{note}; the denoiser's share is {denoiser:.3f}")}


BENCHMARK = Benchmark(FIGURES, measure)
