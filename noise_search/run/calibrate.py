"""How fast loaded parts are here: two seconds of what a run does, timed as a run is, and kept for the next one."""

import time

import torch

from noise_search.core.rates import Rates
from noise_search.core.stopwatch import by_stage
from noise_search.run.kept_rates import keep, latest_path, path_of, read_rates, timed_settings
from noise_search.run.parts import Parts, begin
from noise_search.run.progress import Work
from noise_search.run.render import rendered_rows
from noise_search.run.settings import UNIT

LONGEST, PASSES = 2.0, 20  # seconds of a calibration, and passes: it ends with whichever comes first
NFE = 2  # of one pass


def calibrated(parts: Parts) -> Rates:
    """Those of the same parts, batches and device that were kept, else measured now. One pass is made in any case, so
    that whatever is compiled or set up at the first call is no part of a run's seconds."""
    one_pass(parts)
    key = (parts.device_name, parts.made_with["versions"], parts.weights, timed_settings(parts.run.config))
    path = path_of(*key, parts.run.guidance.rows, parts.model.shape, batch(parts), parts.batch_size)
    rates = read_rates(path) or measured_rates(parts)
    keep(rates, path, latest_path(parts.run))
    return rates


def batch(parts: Parts) -> int:
    """How many images a run searches for at a time."""
    return min(parts.run.settings.images, max(1, parts.batch_size // UNIT) * UNIT)


def measured_rates(parts: Parts) -> Rates:
    """Of what `one_pass` does; nothing of it is billed to a run."""
    began, passes, seconds = time.monotonic(), 0, dict[str, float]()
    while not passes or (passes < PASSES and time.monotonic() - began < LONGEST):
        for stage, value in one_pass(parts).items():
            seconds[stage] = seconds.get(stage, 0.0) + max(value, 1e-9)
        passes += 1
    images, views = passes * batch(parts), len(parts.verifier.needs)
    return Rates(
        device=parts.device_name,
        network=images * NFE * parts.run.guidance.rows / seconds["denoise"],
        decode=images * (1 + views) / seconds["decode"],
        verify=images / seconds["verify"],
        judge=images / seconds["judge"],
    )


@torch.no_grad()
def one_pass(parts: Parts) -> dict[str, float]:
    """Seconds by stage of a batch of images: NFE evaluations, then every candidate scored, finished and judged."""
    problem = begin(parts, list(range(batch(parts))))
    x, _ = problem.solve(problem.noise(0)[:, None], problem.grid(NFE))
    views = torch.stack([x] * len(problem.verifier.needs), 2) if problem.verifier.needs else x[:, :, None][:, :, :0]
    problem.score(x, views)
    rendered_rows(parts, problem, x[:, 0], views[:, 0], problem.who(1), 0, Work())
    return by_stage(problem.watch.spans)
