"""The paper's class-conditional half on the embedded model: its runs, then its figures.

    python scripts/reproduce.py [scale=1000] [only=bank,zo,...] [out=outputs/reproduce]

scale: images of the largest runs (1000: many hours on two cores; below 100: one seed and few candidates, to see that
everything works). Runs are folders of OUT/scale-N and go on where they were stopped; what is finished is kept under
OUT/scale-N/kept without pictures and features (`export as=scores`).
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from noise_search.storage.run_folder import is_complete, span, unit_paths

BANK = ("classifier", "classifier_probability", "classifier_b", "classifier_ssl", "oracle_is")
WIDTHS = (1, 2, 4, 8, 16, 32, 64, 96, 128, 192, 256)  # the paper's N
ROUNDS = (0, 1, 2, 4, 8, 16, 32, 48, 64, 96, 128)  # and K
SMALL = 100  # images, below which a reproduction is a rehearsal


@dataclass(frozen=True)
class Job:
    """One run for each of its seeds. images: of 1,000; points: of the algorithm's axis, or totals of NFE, `nfe`; least:
    points of a rehearsal, at the most; seeds: how many."""

    name: str
    options: tuple[str, ...]
    points: tuple[int, ...] = ()
    nfe: tuple[int, ...] = ()
    least: int = 2
    images: int = 500
    seeds: int = 3


def upto(values: tuple[int, ...], most: int) -> tuple[int, ...]:
    return tuple(value for value in values if value <= most)


OBSERVED = ("verifier=classifier", f"observers=[{','.join(BANK[1:])}]")
TOTALS = (20, 70, 130, 220, 420, 680, 1300)
JOBS = (
    Job("bank", OBSERVED, WIDTHS, least=8, images=1000),
    Job("oracle_fid", ("verifier=oracle_fid",), upto(WIDTHS, 64), least=8, images=1000, seeds=1),
    Job("bank-cfg2.5", (*OBSERVED, "cfg_scale=2.5"), upto(WIDTHS, 64), least=8),
    Job("bank-cfg5", (*OBSERVED, "cfg_scale=5"), upto(WIDTHS, 64), least=8),
    *(Job(f"bank-nfe{c}", (*OBSERVED, f"budget.search_nfe={c}"), upto(WIDTHS, 64), least=8) for c in (4, 20, 50)),
    *(
        Job(name, (f"algorithm={name}", "verifier=classifier"), upto(ROUNDS, most))
        for name, most in (("zo", 128), ("zo_4", 64), ("zo_8", 32))
    ),
    Job("paths", ("algorithm=paths", "verifier=classifier"), nfe=TOTALS),
    Job("paths_1", ("algorithm=paths_1", "verifier=classifier"), nfe=TOTALS, seeds=1),
    Job("paths_4", ("algorithm=paths_4", "verifier=classifier"), nfe=TOTALS, seeds=1),
    Job("first_order", ("algorithm=first_order", "verifier=classifier"), upto(ROUNDS, 16)),
    Job("none", ("algorithm=none", "verifier=classifier"), (20, 40, 80, 160, 320, 640), least=640),
)


@dataclass(frozen=True)
class Reproduction:
    """scale: images of the largest runs; out: folder of all of them."""

    scale: int
    out: Path

    def commands(self, job: Job) -> Iterator[tuple[Path, list[str]]]:
        """The folder and the overrides of each of a job's runs."""
        small = self.scale < SMALL
        points = upto(job.points, job.least) if small else job.points
        values = (
            f"budget.points={list(points)}"
            if job.points
            else f"budget.nfe={list(upto(job.nfe, 130 if small else 10**6))}"
        )
        images = max(12, job.images * self.scale // 1000)
        for seed in range(1 if small else job.seeds):
            folder = self.out / f"{job.name}-s{seed}"
            common = (f"images={images}", f"seed={seed}", values.replace(" ", ""), "axis=nfe", "logger=none")
            yield folder, [*job.options, *common, f"hydra.run.dir={folder}"]

    def make(self, job: Job) -> None:
        for folder, options in self.commands(job):
            started = time.monotonic()
            run(sys.executable, "run.py", *options)
            for verifier in BANK[1:] if "observers=" in " ".join(options) else ():
                self.keep(folder, verifier)
            self.keep(folder)
            print(f"{folder}: {(time.monotonic() - started) / 60:.1f} minutes", flush=True)
        if job.name == "bank":
            self.first_images(job)

    def first_images(self, job: Job) -> None:
        """The first 500 images of the bank as a run of their own, beside other runs of as many."""
        for folder, options in self.commands(job):
            images, part = 500 * self.scale // 1000, folder.with_name(folder.name.replace("bank", "bank500"))
            if images < 12 or is_complete(part, images, "nfe"):
                continue
            (part / "units").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / "identity.json", part / "identity.json")
            for path in unit_paths(folder):
                if span(path).start < images:
                    shutil.copyfile(path, part / "units" / path.name)
            here = (f"images={images}", f"hydra.run.dir={part}")
            run(sys.executable, "run.py", *(o for o in options if not o.startswith(("images=", "hydra."))), *here)
            for verifier in BANK[1:]:
                self.keep(part, verifier)
            self.keep(part)

    def keep(self, folder: Path, verifier: str | None = None) -> None:
        """What of a run is worth keeping; verifier: of its bank, read again under another."""
        if verifier:
            read = folder.with_name(f"{folder.name}-{verifier}")
            noise_search("select", str(folder), f"verifier={verifier}", f"into={read}")
            folder = read
        noise_search("export", str(folder), "as=scores", f"into={self.out / 'kept' / folder.name}")

    def figures(self) -> None:
        kept = sorted(map(str, (self.out / "kept").iterdir()))
        noise_search("figures", *kept, f"into={self.out / 'figures'}")
        for name in ("bank-s0", "zo-s0"):
            noise_search("figures", str(self.out / name), "figure=17", f"into={self.out / 'figures'}")


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def noise_search(*arguments: str) -> None:
    run(sys.executable, "-m", "noise_search", *arguments)


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    names = list(dict.fromkeys(job.name for job in JOBS))
    scale, only = int(options.pop("scale", 1000)), options.pop("only", ",".join(names)).split(",")
    out = Path(options.pop("out", "outputs/reproduce")) / f"scale-{scale}"
    if options or set(only) - set(names):
        raise SystemExit(f"{options or only}: options are scale, only, out; runs {', '.join(names)}")
    reproduction = Reproduction(scale, out)
    for job in JOBS:
        if job.name in only:
            reproduction.make(job)
    reproduction.figures()


if __name__ == "__main__":
    main()
