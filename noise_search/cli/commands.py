"""What is done with a run beside making it: checks, its report, comparisons, another choice; and fetching files."""

import io
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from noise_search.configuration.compose import composed, verifier_named
from noise_search.core.population import Population
from noise_search.errors import Refused
from noise_search.report.combined import combine_runs
from noise_search.report.loggers import NoLogger
from noise_search.run.assemble import assemble
from noise_search.run.description import Description, describe
from noise_search.run.execute import make_and_finish, refuse_other_settings, start_log
from noise_search.run.reopen import reopen
from noise_search.run.settings import AXES
from noise_search.storage.checked import Damaged
from noise_search.storage.run_folder import finished_ids, missing_ids, read_json, runs, span, unit_paths, words
from noise_search.storage.units import read_file, read_units

ROUNDING = 2  # levels of 255 by which a pixel may differ when an image is made again in another batch


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
    stored = read_units(run, ["image_id", "point", "candidate", "digest", "png", "scores_final"])
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
        elif row["digest"] == new["digest"] and not np.allclose(
            row["scores_final"], new["scores_final"], rtol=1e-3, atol=1e-3, equal_nan=True
        ):
            problems.append(f"{where}: the same pixels score {new['scores_final']} now, not {row['scores_final']}")
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
    parts = assemble(replace(described, settings=replace(described.settings, draw_figures=True)))
    refuse_other_settings(run, described.identity | {"weights": parts.weights})
    start_log(run, "the report is made again")
    taken = read_json(run / "run.json").get("seconds", {})
    (run / "run.json").unlink(missing_ok=True)
    make_and_finish(parts, run, NoLogger(), taken)
    return 0


def compare_runs(folders: list[Path], into: Path | None) -> int:
    """Put finished runs side by side in the folder `into`."""
    from noise_search.run.compare import compare

    if into is None:
        raise Refused("compare: into=FOLDER, where the tables go")
    for path in compare(folders, into):
        print(path)
    return 0


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
