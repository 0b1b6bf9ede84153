"""What is told of a run, or written of it elsewhere, from what is on the disk alone: without torch, in a second."""

import csv
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from noise_search.cli import neighbours
from noise_search.errors import MissingFile, Refused
from noise_search.report.loggers import Record, WandbLogger
from noise_search.run.reopen import reopen
from noise_search.storage.export import export_npz, export_png, export_scores
from noise_search.storage.run_folder import finished_images, missing_ids, runs, span, unit_paths, words
from noise_search.storage.t2i_compbench import NAME as BENCHMARK

SCORES = "scores"
NO_OPTIONS: Mapping[str, str] = MappingProxyType({})
FORMS = {"npz": export_npz, "png": export_png}


def status(run: Path) -> int:
    """Print how far a run is; 1 if images are missing."""
    settings = reopen(run).settings
    missing = missing_ids(run, settings.images)
    files = sorted(unit_paths(run), key=lambda path: path.stat().st_mtime)
    print(f"{run}: {settings.images - len(missing):,} of {settings.images:,} images in {len(files)} units")
    if len(files) > 1:
        seconds = files[-1].stat().st_mtime - files[0].stat().st_mtime
        rate = sum(len(span(path)) for path in files[1:]) / max(seconds, 1e-3)
        left = f", {len(missing) / rate / 60:.1f} minutes left at this rate" if missing else ""
        print(f"{rate:.2f} images/s from the first unit to the last{left}")
    if aside := sorted(path.name for path in (run / "units").glob("*.damaged")):
        print(f"damaged and set aside: {', '.join(aside)}")
    if missing:
        print(f"missing: image ids {words(runs(missing))}; the same command goes on")
    else:
        print("complete" if finished_images(run) else "all images are there; the same command makes the report")
    return int(bool(missing))


def view(folder: Path) -> int:
    """Write folder/index.html over all finished runs under it."""
    from noise_search.report.index import write_index

    print(write_index(folder))
    return 0


def export(
    run: Path,
    form: str,
    into: Path | None = None,
    points: list[int] | None = None,
    options: Mapping[str, str] = NO_OPTIONS,
) -> int:
    """Write the images of every budget for evaluators, under samples/. form: npz (ADM's arr_0), png (a folder) or a
    benchmark's layout, which goes `into` a folder, of some `points` only; or scores: the run `into` another folder,
    without pictures and features; or pairs or bank: lines of JSON `into` a file, with `options` of their own."""
    if form in neighbours.FORMS and not points:
        return neighbours.export_bank(run, form, into, options)
    if options:
        raise Refused(f"as={form}: {', '.join(sorted(options))} goes with as={neighbours.PAIRS}")
    if form == BENCHMARK:
        from noise_search.cli import benchmark

        return benchmark.export_benchmark(run, into, points or [])
    if form == SCORES:
        if into is None or points:
            raise Refused(f"as={SCORES}: into=FOLDER, and all points")
        export_scores(run, into)
        print(into)
        return 0
    if form in neighbours.FORMS:
        raise Refused(f"as={form}: of all candidates, points go with as={BENCHMARK}")
    if form not in FORMS:
        raise Refused(f"as={form}: one of {', '.join((*FORMS, SCORES, *neighbours.FORMS, BENCHMARK))}")
    if into or points:
        raise Refused(f"as={form}: into and points go with as={BENCHMARK}")
    described = reopen(run)
    for p in described.plan.purchases:
        path = run / f"samples/{p.label}{'.npz' * (form == 'npz')}"
        FORMS[form](run, p.point, described.settings.images, path)
        print(path)
    return 0


def import_answers(run: Path, form: str, source: str | None) -> int:
    """Read what a benchmark's own scorers said of exported images."""
    if form != BENCHMARK:
        raise Refused(f"as={form}: {BENCHMARK}")
    from noise_search.cli import benchmark

    return benchmark.import_benchmark(run, Path(source) if source else None)


def log_run(run: Path, project: str = "noise_search", group: str | None = None) -> int:
    """Send a finished run to wandb from what is on the disk. project, group: of the logger."""
    described = reopen(run)
    if not finished_images(run):
        raise Refused(f"{run}: not a finished run")
    if not (run / "curve.csv").is_file():
        raise MissingFile(f"{run / 'curve.csv'} is not there: `noise-search report {run}` makes it again")
    with (run / "curve.csv").open() as file:
        rows: list[dict[str, Any]] = list(csv.DictReader(file))
    for row in rows:
        row |= {"value": float(row["value"]) if row["value"] else None, "point": int(row["point"])}
        row |= {name: int(row[name]) for name in ("nfe", "nfe_paper")}
        row["seconds"] = float(row["seconds"]) if row.get("seconds") else None
    purchases = described.plan.purchases
    grids = {p.point: np.asarray(Image.open(run / f"images/{p.label}.png")) for p in purchases}
    record = Record(run, dict(described.config), described.choices, rows, described.settings.axis, grids)
    sent = WandbLogger(project, group).log(record)
    return int(not sent)
