"""Every benchmark by its name, as `--only` takes it, in the order of the page."""

from scripts.bench import (
    after,
    efficiency,
    matrix_rate,
    memory,
    metrics,
    peers,
    pipeline,
    precision,
    scaling,
    sweep,
    workers,
)
from scripts.bench.timing import Benchmark, Figure

BENCHMARKS: dict[str, Benchmark] = {
    "efficiency": efficiency.BENCHMARK,
    "matrix_rate": matrix_rate.BENCHMARK,
    "sweep.random": sweep.benchmark("random"),
    "sweep.zo": sweep.benchmark("zo"),
    "peers.plain_loop": peers.PLAIN,
    "peers.best_of_n_loop": peers.ONE_BY_ONE,
    "peers.diffusers_pipeline": pipeline.BENCHMARK,
    "precision.bf16": precision.benchmark("bf16"),
    "precision.compile": precision.benchmark("compile"),
    "after": after.BENCHMARK,
    "scaling.search": scaling.BENCHMARK,
    "scaling.workers": workers.BENCHMARK,
    "memory": memory.BENCHMARK,
    "metrics.frechet": metrics.FRECHET,
    "metrics.kid": metrics.KERNEL,
}
FIGURES: dict[str, Figure] = {name: figure for one in BENCHMARKS.values() for name, figure in one.figures.items()}


def chosen(only: str) -> dict[str, Benchmark]:
    """only: names, or their beginnings before a dot, separated by commas; "": all. ValueError for an unknown one."""
    words = [word for word in only.split(",") if word]
    for word in words:
        if not any(f"{name}.".startswith(f"{word}.") for name in BENCHMARKS):
            raise ValueError(f"--only {word}: one of {', '.join(BENCHMARKS)}")
    return {
        name: one
        for name, one in BENCHMARKS.items()
        if not words or any(f"{name}.".startswith(f"{word}.") for word in words)
    }
