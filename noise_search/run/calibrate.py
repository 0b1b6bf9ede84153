"""How fast loaded parts are here: two seconds of what a run does, timed as a run is, and kept for the next one."""

import time
from collections import Counter

import torch

from noise_search.core.grid import Grid
from noise_search.core.rates import Rates
from noise_search.core.stopwatch import by_stage
from noise_search.run.kept_rates import keep, latest_path, path_of, read_rates, timed_settings
from noise_search.run.parts import Parts, begin
from noise_search.run.progress import Work
from noise_search.run.render import rendered_rows

LONGEST, PASSES = 2.0, 50  # seconds of a calibration, and its passes: it ends with whichever comes first


def calibrated(parts: Parts) -> Rates:
    """Those of the same parts, batches and device that were kept, else measured now. One pass is made in any case, so
    that whatever is compiled or set up at the first call is no part of a run's seconds."""
    took = one_pass(parts)
    key = (parts.device_name, parts.made_with["versions"], parts.weights, timed_settings(parts.run.config))
    path = path_of(*key, parts.run.guidance.rows, parts.model.shape, batch(parts), parts.tuning)
    rates = read_rates(path) or measured_rates(parts, steps=max(1, int(LONGEST / 4 / max(took["denoise"], 1e-9))))
    keep(rates, path, latest_path(parts.run))
    return rates


def batch(parts: Parts) -> int:
    """How many images are in a pass."""
    return min(parts.run.settings.images, parts.batch_size)


def measured_rates(parts: Parts, steps: int) -> Rates:
    """Of what `one_pass` does. steps: of one pass, at most."""
    began, passes, seconds = time.monotonic(), 0, Counter[str]()
    while not passes or (passes < PASSES and time.monotonic() - began < LONGEST):
        seconds.update(one_pass(parts, steps))
        passes += 1
    images, views = passes * batch(parts), len(parts.verifier.needs)
    nfe = sum(first_steps(parts, steps).stages)
    return Rates(
        device=parts.device_name,
        network=images * nfe * parts.run.guidance.rows / seconds["denoise"],
        decode=images * (1 + views) / seconds["decode"],
        verify=images / seconds["verify"],
        judge=images / seconds["judge"],
    )


def first_steps(parts: Parts, steps: int) -> Grid:
    """The beginning of a grid of the run."""
    whole = parts.run.grids[0]
    return Grid(whole.times[: steps + 1], whole.stages[:steps])


@torch.no_grad()
def one_pass(parts: Parts, steps: int = 1) -> Counter[str]:
    """Seconds by stage of a batch of images: `steps` of a grid, then every candidate scored, finished and judged. None
    of it is billed to a run."""
    problem = begin(parts, list(range(batch(parts))))
    x, _ = problem.solve(problem.noise(0)[:, None], first_steps(parts, steps))
    views = torch.stack([x] * len(problem.verifier.needs), 2) if problem.verifier.needs else x[:, :, None][:, :, :0]
    problem.score(x, views)
    rendered_rows(parts, problem, x[:, 0], views[:, 0], problem.who(1), 0, Work())
    return Counter(by_stage(problem.watch.spans))
