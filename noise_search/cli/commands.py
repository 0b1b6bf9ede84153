"""What is done beside making a run: look at it, check it, show it again; and see to what a machine has."""

import csv
import io
import platform
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from noise_search import assets
from noise_search.cli import benchmark
from noise_search.configuration.compose import composed, verifier_named
from noise_search.core.population import Population
from noise_search.errors import MissingFile, Refused
from noise_search.report.combined import combine_runs
from noise_search.report.index import write_index
from noise_search.report.loggers import NoLogger, Record, WandbLogger
from noise_search.run.assemble import assemble, versions
from noise_search.run.description import Description, describe
from noise_search.run.execute import make_and_finish, refuse_other_settings, start_log
from noise_search.run.plugins import plugins
from noise_search.run.reopen import reopen
from noise_search.run.settings import AXES
from noise_search.storage import cache
from noise_search.storage.atomic import sha256
from noise_search.storage.checked import Damaged
from noise_search.storage.export import export_npz, export_png, export_scores
from noise_search.storage.run_folder import finished_ids, finished_images, missing_ids, runs, span, unit_paths, words
from noise_search.storage.units import read_file, read_units

SCORES = "scores"
FORMS = {"npz": export_npz, "png": export_png}
ROUNDING = 2  # levels of 255 by which a pixel may differ when an image is made again in another batch


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


def verify(run: Path, images: int = 8) -> int:
    """Check every file of a run, make some of its images again and compare them; 1 if anything is wrong."""
    described, problems = reopen(run), list[str]()
    plan, settings = described.plan, described.settings
    done = sorted(finished_ids(run))  # a file with another name is told, not touched
    for path in unit_paths(run):
        try:
            table = pq.read_table(pa.BufferReader(read_file(path)), page_checksum_verification=True)
        except (Damaged, OSError) as error:  # in a folder that cannot be written, nothing can be set aside
            problems.append(str(error))
            continue
        if table.schema.metadata[b"settings"].decode() != described.digest:
            problems.append(f"{path}: made with other settings")
        expected = [(i, p.point) for i in span(path) for p in plan.purchases]
        found = sorted(zip(table["image_id"].to_pylist(), table["point"].to_pylist(), strict=True))
        if found != expected:
            problems.append(f"{path}: {len(found)} rows, not one for each of its images and budgets")
    if missing := missing_ids(run, settings.images):
        problems.append(f"missing: image ids {words(runs(missing))}")
    print(f"{run}: {len(done):,} images checked", flush=True)
    if done and images and not problems:
        problems += replay(run, described, random.sample(done, min(images, len(done))))
    for problem in problems:
        print(f"problem: {problem}")
    print(f"{len(problems)} problems" if problems else "nothing is wrong")
    return int(bool(problems))


def replay(run: Path, described: Description, ids: list[int]) -> list[str]:
    """Search for images again; what differs from the files by more than a batch's rounding."""
    from noise_search.run.parts import begin
    from noise_search.run.search_units import begin_work, search_and_render

    parts = assemble(described)
    refuse_other_settings(run, described.identity | {"weights": parts.weights})
    if isinstance(parts.verifier, Population):
        choice = described.choices["verifier"]
        print(f"no image is made again: with verifier={choice} a choice depends on all the images before")
        return []
    work = begin_work(parts, len(ids))
    again = {(row["image_id"], row["point"]): row for row in search_and_render(parts, begin(parts, ids), work)}
    work.close()
    stored = read_units(run, ["image_id", "point", "candidate", "digest", "png"])
    rows = [row for row in stored.to_pylist() if row["image_id"] in ids]
    same = sum(row["digest"] == again[row["image_id"], row["point"]]["digest"] for row in rows)
    print(
        f"images {words(runs(ids))} made again at {len(rows) // len(ids)} budgets: {same} of {len(rows)} are the same"
    )
    problems = []
    for row in rows:
        new, where = again[row["image_id"], row["point"]], f"image {row['image_id']}, point {row['point']}"
        if row["candidate"] != new["candidate"]:
            problems.append(f"{where}: candidate {new['candidate']} is chosen now, not {row['candidate']}")
        elif row["digest"] != new["digest"] and row["png"] is None:
            problems.append(f"{where}: other pixels, by how much cannot be told (keep_images=false)")
        elif row["digest"] != new["digest"] and (away := pixels_away(row["png"], new["png"])) > ROUNDING:
            problems.append(f"{where}: pixels differ by up to {away} of 255")
    return problems


def pixels_away(one: bytes, other: bytes) -> int:
    """The largest difference of two PNG images, in levels."""
    a, b = (np.asarray(Image.open(io.BytesIO(png)), dtype=np.int64) for png in (one, other))
    return int(np.abs(a - b).max())


def report(folders: list[Path], into: Path | None, axis: str | None = None) -> int:
    """Make the curve, figures and report of a run again from its units; of several, their combined curve in `into`.
    axis: of the figures; None: the run's, or the first one's."""
    if axis not in (None, *AXES):
        raise Refused(f"axis={axis}: one of {', '.join(AXES)}")
    if len(folders) > 1:
        if into is None:
            raise Refused("report of several runs: into=FOLDER, where the combined curve goes")
        combine_runs(folders, into, axis)
        print(into)
        return 0
    (run,) = folders
    described = reopen(run, axis)
    if missing := missing_ids(run, described.settings.images):
        raise Refused(f"{run} is incomplete: image ids {words(runs(missing))} are missing")
    parts = assemble(described)
    refuse_other_settings(run, described.identity | {"weights": parts.weights})
    start_log(run, "the report is made again")
    (run / "run.json").unlink(missing_ok=True)
    make_and_finish(parts, run, NoLogger())
    return 0


def compare_runs(folders: list[Path], into: Path | None) -> int:
    """Put finished runs side by side in the folder `into`."""
    from noise_search.run.compare import compare

    if into is None:
        raise Refused("compare: into=FOLDER, where the tables go")
    for path in compare(folders, into):
        print(path)
    return 0


def view(folder: Path) -> int:
    """Write folder/index.html over all finished runs under it."""
    print(write_index(folder))
    return 0


def export(run: Path, form: str, into: Path | None = None, points: list[int] | None = None) -> int:
    """Write the images of every budget for evaluators, under samples/. form: npz (ADM's arr_0), png (a folder) or a
    benchmark's layout, which goes `into` a folder, of some `points` only; or scores: the run `into` another folder,
    without pictures and features."""
    if form == benchmark.NAME:
        return benchmark.export_benchmark(run, into, points or [])
    if form == SCORES:
        if into is None or points:
            raise Refused(f"as={SCORES}: into=FOLDER, and all points")
        export_scores(run, into)
        print(into)
        return 0
    if form not in FORMS:
        raise Refused(f"as={form}: one of {', '.join((*FORMS, SCORES, benchmark.NAME))}")
    if into or points:
        raise Refused(f"as={form}: into and points go with as={benchmark.NAME}")
    described = reopen(run)
    for p in described.plan.purchases:
        path = run / f"samples/{p.label}{'.npz' * (form == 'npz')}"
        FORMS[form](run, p.point, described.settings.images, path)
        print(path)
    return 0


def import_answers(run: Path, form: str, source: str | None) -> int:
    """Read what a benchmark's own scorers said of exported images."""
    if form != benchmark.NAME:
        raise Refused(f"as={form}: {benchmark.NAME}")
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


def select(run: Path, verifier: str, into: Path | None, points: list[int]) -> int:
    """Read a finished random search again as if `verifier` had chosen, and print the new run's folder."""
    from noise_search.run.reselect import reselect

    print(reselect(run, verifier, verifier_named, into, points or None))
    return 0


def prefetch(overrides: list[str]) -> int:
    """Fetch all files that `run.py` with these overrides needs, then load everything once, as a run would."""
    from noise_search.cli.fetch import SOURCES, fetch_all, fetch_named

    config, choices = composed(overrides)
    described = describe(config, choices)
    names = [choices["model"]] * (choices["model"] in SOURCES)
    if choices["metrics"] == "inception":
        names.append("references_512" if choices["dataset"].endswith("512") else "references")
    if names:
        fetch_named(names, Path("weights"))
    fetch_all(described.sources, Path())
    parts = assemble(described)
    for name, digest in parts.weights.items():
        print(f"{name}  {digest}")
    return 0


def doctor() -> int:
    """Print which libraries, weights, references and data are here; 1 if a file of the package is missing."""
    print(f"{platform.platform()}, {platform.python_implementation()}")
    for name, version in versions().items():
        print(f"  {name:<24} {version}")
    for plugin in plugins():
        print(f"  {plugin.name:<24} {plugin.version} (plug-in {plugin.module})")
    import torch

    devices = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    print(f"  {'devices':<24} {', '.join(devices) or 'CPU only'}, {torch.get_num_threads()} threads")
    folders = {"package": assets.FOLDER, "weights": Path("weights"), "data": Path("data"), "cache": cache.folder()}
    for name, folder in folders.items():
        files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
        print(f"{name}: {folder.resolve()}" + ("" if files else " (nothing)"))
        for path in files:
            size = path.stat().st_size / 1e6
            print(f"  {path.relative_to(folder)!s:<48} {size:10.2f} MB  {sha256(path)}")
    missing = [name for name in SHIPPED if not (assets.FOLDER / name).is_file()]
    for name in missing:
        print(f"missing: {assets.FOLDER / name}; install the package again")
    return int(bool(missing))


SHIPPED = (
    *("sit_cifar10.safetensors", "autoencoder.safetensors", "judge_lite2.safetensors"),
    *("classifier_lite0.safetensors", "classifier_lite1.safetensors", "cifar10_heads.webp", "cifar10_reference.webp"),
)
