"""The runs of scripts/reproduce.py, the most telling first: it may be stopped anywhere."""

from dataclasses import dataclass

WIDTHS = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256)  # the paper's N
ROUNDS = (0, 1, 2, 4, 8, 16, 32, 48, 64, 96, 128)  # and K, and M


@dataclass(frozen=True)
class Job:
    """One run for each of its seeds. points: of its algorithm's axis, each of which costs `each` NFE; images: at most;
    seeds: how many; read: verifiers under which its bank is read again."""

    name: str
    options: tuple[str, ...]
    points: tuple[int, ...]
    each: int
    images: int = 500
    seeds: int = 3
    read: tuple[str, ...] = ()


def upto(values: tuple[int, ...], most: float) -> tuple[int, ...]:
    """Those up to `most`, and the first two in any case."""
    return values[:2] + tuple(value for value in values[2:] if value <= most)


BANK = ("classifier_b", "classifier_ssl", "classifier_b_ssl", "oracle_is")
OBSERVED = ("verifier=classifier", f"observers=[{','.join(BANK)}]")
SCENES = ("scenes_clip", "scenes_aesthetic", "scenes_oracle")
TEXTS = ("model=scenes", "verifier=scenes_ensemble", "budget.search_nfe=10", "budget.final_nfe=10")


def searched(name: str, points: tuple[int, ...], each: int, *options: str, folder: str = "", seeds: int = 3) -> Job:
    return Job(folder or name, (f"algorithm={name}", *options), points, each, seeds=seeds)


JOBS = (
    Job("bank", OBSERVED, WIDTHS, 10, images=1000, read=BANK),
    searched("zo", ROUNDS, 20),
    searched("paths", upto(ROUNDS, 8), 90),
    Job("none", ("algorithm=none",), (20, 40, 80, 160, 320, 640), 1),
    Job("oracle_fid", ("verifier=oracle_fid",), upto(WIDTHS, 64), 10, images=1000, seeds=1),
    searched("first_order", upto(ROUNDS, 16), 20),
    Job("scenes", (*TEXTS, "observers=[scenes_oracle]"), upto(WIDTHS, 64), 10, read=SCENES),
    *(
        Job(f"scenes-{name}-{verifier}", (*TEXTS, f"algorithm={name}", f"verifier={verifier}"), points, each)
        for name, points, each in (("zo", (0, 1, 4, 8, 16), 20), ("paths", (0, 1, 2, 4), 90))
        for verifier in ("scenes_ensemble", *SCENES)
    ),
    Job("bank-cfg5", (*OBSERVED, "cfg_scale=5"), upto(WIDTHS, 64), 20, read=BANK),
    *(Job(f"bank-nfe{c}", ("verifier=classifier", f"budget.search_nfe={c}"), upto(WIDTHS, 64), c) for c in (4, 20, 50)),
    Job("bank-small", ("model=sit_cifar10_small", "verifier=classifier"), WIDTHS, 10),
    searched("zo_4", upto(ROUNDS, 64), 40),
    searched("zo_8", upto(ROUNDS, 32), 80),
    searched("paths_1", upto(ROUNDS, 16), 45, seeds=1),
    searched("paths_4", upto(ROUNDS, 4), 180, seeds=1),
    *(
        searched("zo", upto(ROUNDS, 16), 20, f"algorithm.similarity={s}", folder=f"zo-similarity{s}", seeds=1)
        for s in (0.5, 0.8, 0.99)
    ),
    *(
        searched("paths", upto(ROUNDS, 4), 6 * (b + 1), f"algorithm.backward_nfe={b}", folder=f"paths-b{b}", seeds=1)
        for b in (6, 30)
    ),
    Job("bank-cfg2.5", (*OBSERVED, "cfg_scale=2.5"), upto(WIDTHS, 64), 20, read=BANK),
)
NAMES = tuple(dict.fromkeys(job.name for job in JOBS))
SPARE = (  # which a rehearsal does without: others of their kind fill the same figures
    *("bank-cfg2.5", "oracle_fid", "bank-nfe20", "zo-similarity0.8", "zo-similarity0.99", "paths-b30", "paths_4"),
    *(f"scenes-{name}-{verifier}" for name in ("zo", "paths") for verifier in SCENES),
)
GRIDS = {"17": "bank", "18": "zo", "19": "paths", "20": "none", "21": "first_order", "22": "bank-cfg5", "23": "scenes"}
