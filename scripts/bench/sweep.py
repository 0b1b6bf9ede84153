"""What one anytime search for all budgets saves against a search for each, at a fiftieth of the paper's NFE."""

from functools import partial

from noise_search.run.parts import begin
from noise_search.run.search_units import begin_work, search_and_render
from scripts.bench.timing import Benchmark, Figure, Measured, Options, alternate, open_run, ratios, seconds_note

POINTS = {  # of the paper's figures
    "random": (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256),
    "zo": (0, 1, 2, 4, 8, 16, 32, 48, 64, 96, 128),
}
TARGETS = {"random": "<= 0.35", "zo": "<= 0.37"}


class Job:
    """Search and render `points` alone. nfe: what the last call metered."""

    def __init__(self, options: Options, algorithm: str, points: tuple[int, ...], images: int) -> None:
        budget = ("budget.search_nfe=1", "budget.final_nfe=5", f"budget.points=[{','.join(map(str, points))}]")
        self.parts = open_run(options, f"algorithm={algorithm}", *budget)
        self.images, self.nfe = images, 0

    def __call__(self) -> None:
        problem = begin(self.parts, list(range(self.images)))
        search_and_render(self.parts, problem, begin_work(self.parts, self.images))
        self.nfe = int(problem.meters.evaluations.count.sum())


def measure(algorithm: str, options: Options) -> dict[str, Measured]:
    images = options.size(12, 2, 256)
    points = POINTS[algorithm][:3] if options.small else POINTS[algorithm]
    together = Job(options, algorithm, points, images)
    alone = [Job(options, algorithm, (point,), images) for point in points]
    few = Job(options, algorithm, points[:3], images)

    def singles() -> None:
        for job in alone:
            job()

    sweep, single = alternate(options, together, singles, warm_up=few)
    nfe = together.nfe / sum(job.nfe for job in alone)
    note = f"{len(points)} budgets, {images} images; {seconds_note(sweep=sweep, single_runs=single)}"
    return {
        f"sweep.{algorithm}": Measured(ratios(sweep, single), note),
        f"sweep.{algorithm}.nfe": Measured([nfe], "exact: the meter's, and the plan's"),
    }


def benchmark(algorithm: str) -> Benchmark:
    what = f"of one {algorithm} sweep over the paper's eleven budgets / of eleven single runs"
    figures = {
        f"sweep.{algorithm}": Figure(f"time {what}", TARGETS[algorithm]),
        f"sweep.{algorithm}.nfe": Figure(f"NFE {what}: what the time would be at one speed"),
    }
    return Benchmark(figures, partial(measure, algorithm))
