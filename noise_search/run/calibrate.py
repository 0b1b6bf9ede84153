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
from noise_search.run.search_units import group_size

LONGEST, PASSES = 2.0, 50  # seconds of a calibration, and its passes: it ends with whichever comes first


def calibrated(parts: Parts) -> Rates:
    """Those of the same parts, batches and device that were kept, else measured now. One pass is made in any case, so
    that whatever is compiled or set up at the first call is no part of a run's seconds."""
    took = one_pass(parts)
    key = (parts.device_name, parts.made_with["versions"], parts.weights, timed_settings(parts.run.config))
    path = path_of(
        *key, parts.run.guidance.rows, parts.model.shape, images_of(parts), candidates_of(parts), parts.tuning
    )
    rates = read_rates(path) or measured_rates(parts, steps=max(1, int(LONGEST / 4 / max(took["denoise"], 1e-9))))
    keep(rates, path, latest_path(parts.run))
    return rates


def images_of(parts: Parts) -> int:
    """How many images are in a pass."""
    return min(parts.run.settings.images, group_size(parts), parts.batch_size)


def candidates_of(parts: Parts) -> int:
    """How many candidates of each, as a run evaluates them together."""
    run = parts.run
    rows = images_of(parts) * run.guidance.rows
    return min(run.algorithm.at_once(run.plan.purchases[-1].point), max(1, parts.batch_size // rows))


def measured_rates(parts: Parts, steps: int) -> Rates:
    """Of what `one_pass` does. steps: of one pass, at most."""
    began, passes, seconds = time.monotonic(), 0, Counter[str]()
    while not passes or (passes < PASSES and time.monotonic() - began < LONGEST):
        seconds.update(one_pass(parts, steps))
        passes += 1
    images, views = passes * images_of(parts), len(parts.verifier.needs)
    candidates = images * candidates_of(parts)
    nfe = sum(first_steps(parts, steps).stages)
    return Rates(
        device=parts.device_name,
        network=candidates * nfe * parts.run.guidance.rows / seconds["denoise"],
        decode=candidates * (1 + views) / seconds["decode"],
        verify=candidates / seconds["verify"],
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
    problem = begin(parts, list(range(images_of(parts))))
    x, _ = problem.solve(problem.noises(candidates_of(parts)), first_steps(parts, steps))
    views = torch.stack([x] * len(problem.verifier.needs), 2) if problem.verifier.needs else x[:, :, None][:, :, :0]
    problem.score(x, views)
    rendered_rows(parts, problem, x[:, 0], views[:, 0], problem.who(1), 0, Work())
    return Counter(by_stage(problem.watch.spans))
