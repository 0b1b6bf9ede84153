"""The paper on the embedded models: its runs, what of them is worth keeping, its figures and pages.

    python -m scripts.reproduce [scale=1000] [most=80] [seeds=1] [only=bank,zo,...] [out=outputs/reproduce]

scale: images of the largest runs (of the others at most 500, so that equal n can be compared); most: NFE of the search
of an image, which cuts every curve; seeds: at most. scale=1000 takes many hours on two cores; scale=16 is a rehearsal
(most=40, one seed, fewer runs) of some minutes, to see that everything works. Runs are folders of OUT/scale-N and go on
where they were stopped; what is finished is kept under OUT/scale-N/kept without pictures (but a few) and features. The
page and figures of docs/reproduction.md are made of kept runs: scripts.reproduction_page.
"""

import json
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from noise_search.cli import commands, look
from noise_search.cli.figures import figures
from noise_search.configuration.compose import composed, own_hydra
from noise_search.run.execute import run_job
from noise_search.storage.export import export_scores
from noise_search.storage.run_folder import span, unit_paths
from scripts.reproduction_jobs import GRIDS, JOBS, NAMES, SPARE, Job, upto

REHEARSAL = {"most": 40, "seeds": 1}  # of fewer than 100 images
PICTURES = 6  # of how many images of a run pictures are kept: those of a grid
COMPARED = ("bank", "zo", "paths", "first_order", "none")


@dataclass(frozen=True)
class Reproduction:
    """scale: images of the largest runs; most: NFE of a search; seeds: at most; out: folder of all of them."""

    scale: int
    most: int
    seeds: int
    out: Path

    def make(self, job: Job) -> None:
        """Its runs, and what of them is kept."""
        points, images = upto(job.points, self.most / job.each), min(job.images, self.scale)
        for seed in range(min(job.seeds, self.seeds)):
            folder = self.out / f"{job.name}-s{seed}"
            self.run(job, folder, points, seed, images)
            if images > 500:  # its first images once more, beside other runs of as many
                part = self.out / f"{job.name}500-s{seed}"
                first_units(folder, part, 500)
                self.run(job, part, points, seed, 500)

    def run(self, job: Job, folder: Path, points: tuple[int, ...], seed: int, images: int) -> None:
        started = time.process_time()
        asked = (
            f"budget.points={list(points)}".replace(" ", ""),
            f"seed={seed}",
            f"images={images}",
            "logger=none",
            "draw_figures=false",
        )
        run_job(*composed([*job.options, *asked]), folder)
        self.keep(folder)
        for verifier in job.read:
            again = folder.with_name(f"{folder.name}-{verifier}")
            commands.select(folder, verifier, again, [])
            self.keep(again)
        spent = {"cpu_seconds": round(time.process_time() - started)}
        if not (told := self.out / "kept" / folder.name / "spent.json").is_file():
            told.write_text(json.dumps(spent) + "\n")
        print(f"{folder}: {spent['cpu_seconds']} CPU seconds", flush=True)

    def keep(self, folder: Path) -> None:
        """What of a run is worth keeping, under one name at a time: a finished export is never half written."""
        into = self.out / "kept" / folder.name
        if not into.is_dir():
            shutil.rmtree(half := into.with_name(f".{into.name}"), ignore_errors=True)
            export_scores(folder, half, PICTURES)
            half.rename(into)

    def pages(self) -> None:
        """All figures of the paper that the kept runs fill, a comparison with its gallery, and an index of it all."""
        kept, into = sorted(path for path in (self.out / "kept").iterdir() if path.name[0] != "."), self.out / "figures"
        figures(kept, [], into, None, None)
        for number, name in GRIDS.items():
            if (run := self.out / "kept" / f"{name}-s0").is_dir():
                figures([run], [number], into, None, None)
        finished = [run for name in COMPARED if (run := self.out / f"{name}-s0") and (run / "run.json").is_file()]
        if len(finished) > 1:
            commands.compare_runs(finished, self.out / "comparison")
        look.view(self.out)


def first_units(folder: Path, part: Path, images: int) -> None:
    """Give `part` the identity and the first units of a run."""
    (part / "units").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "identity.json", part / "identity.json")
    for path in unit_paths(folder):
        if span(path).stop <= images:
            shutil.copyfile(path, part / "units" / path.name)


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    scale, only = int(options.pop("scale", 1000)), options.pop("only", "")
    most, seeds = (
        int(options.pop(name, REHEARSAL[name] if scale < 100 else large))
        for name, large in (("most", 10**6), ("seeds", 3))
    )
    names = only.split(",") if only else [name for name in NAMES if scale >= 100 or name not in SPARE]
    out = Path(options.pop("out", "outputs/reproduce")) / f"scale-{scale}"
    if options or set(names) - set(NAMES):
        raise SystemExit(f"{options or only}: options are scale, most, seeds, only, out; runs {', '.join(NAMES)}")
    reproduction = Reproduction(scale, most, seeds, out)
    with own_hydra():
        for job in JOBS:
            if job.name in names:
                reproduction.make(job)
        reproduction.pages()


if __name__ == "__main__":
    main()
