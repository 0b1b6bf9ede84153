"""How near a compiled bfloat16 model comes, inside a search, to what the machine does in a large matrix product."""

import time
from collections.abc import Callable
from unittest import mock

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from noise_search.core.denoiser import Prediction
from noise_search.core.driver import search
from noise_search.networks import transformer
from noise_search.run.parts import begin
from scripts.bench.efficiency import bare_calls
from scripts.bench.timing import Benchmark, Figure, Measured, Options, clock, open_run, ratios

FIGURES = {
    "matrix_rate": Figure(
        "denoiser's FLOP/s within a search, compiled, bfloat16 / FLOP/s of a large bfloat16 matrix product", ">= 0.58"
    ),
    "matrix_rate.search": Figure("the same of all three networks' FLOP over all of the search's time"),
}


class Timed:
    """A network whose calls are timed. rows, seconds: of all calls since `reset`."""

    def __init__(self, network: Callable[..., Prediction], options: Options) -> None:
        self.network, self.options = network, options
        self.reset()

    def reset(self) -> None:
        self.rows, self.seconds = 0, 0.0

    def __call__(self, x: Tensor, t: Tensor, label: Tensor, rows: Tensor) -> Prediction:
        if self.options.device == "cuda":
            torch.cuda.synchronize()
        started = time.perf_counter()
        out = self.network(x, t, label, rows=rows)
        if self.options.device == "cuda":
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - started
        self.rows += len(x)
        return out


def flops_a_row(call: Callable[[int], object], rows: int) -> float:
    """Two a multiply-add. Attention is written out meanwhile: not every version of torch counts its fused kernels."""
    with (
        torch.compiler.set_stance("force_eager"),
        mock.patch.object(transformer, "attend", transformer.written_out),
        FlopCounterMode(display=False) as counter,
    ):
        call(rows)
    return counter.get_total_flops() / rows


def matrix_product(options: Options) -> tuple[Callable[[], object], float]:
    """A product to be timed, and its FLOP."""
    n = options.size(2048, 256, 8192)
    a, b = (torch.randn(n, n, device=options.device, dtype=torch.bfloat16) for _ in range(2))
    times = options.size(20, 1, 100)
    return lambda: [a @ b for _ in range(times)], times * 2.0 * n**3


@torch.no_grad()
def measure(options: Options) -> dict[str, Measured]:
    candidates = options.size(2, 1)
    parts = open_run(options, "compile=true")
    images = options.size(parts.batch_size, 8)
    problem = begin(parts, list(range(images)))
    network = problem.meters.network
    network.network = timed = Timed(network.network, options)
    a_row, *after = (flops_a_row(call, images) for call in bare_calls(parts, images))
    product, flops = matrix_product(options)
    inside, whole, peak = [], [], []
    for run in range(1 + options.repeat):
        timed.reset()
        seconds = clock(lambda: list(search(problem, parts.run.algorithm, candidates)), options)
        if run == 0:  # it compiled
            clock(product, options)
            continue
        inside.append(a_row * timed.rows / timed.seconds)
        whole.append((a_row * timed.rows + images * candidates * sum(after)) / seconds)
        peak.append(flops / clock(product, options))
    note = f"{images} images a batch, {a_row / 1e6:.0f} MFLOP a row; matrix product {max(peak) / 1e12:.3g} TFLOP/s"
    return {
        "matrix_rate": Measured(ratios(inside, peak), note),
        "matrix_rate.search": Measured(ratios(whole, peak), note),
    }


BENCHMARK = Benchmark(FIGURES, measure)
