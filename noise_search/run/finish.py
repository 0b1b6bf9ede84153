"""From a folder of finished units to what a person reads: the curve, the figures, the report, the bill."""

import json
import logging
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from noise_search.core.algorithm import Bounded
from noise_search.errors import Refused
from noise_search.report.figures import figures, remove_figures
from noise_search.report.images import write_grids
from noise_search.report.loggers import Logger, Record
from noise_search.report.matrix import banks, write_correlation, write_matrix
from noise_search.report.run_content import BANK_COLUMNS, SHOWN_COLUMNS, RunPage
from noise_search.report.run_page import write_report
from noise_search.run.assemble import versions
from noise_search.run.categories import by_category
from noise_search.run.evaluate import curve, metrics_of
from noise_search.run.floors import floors
from noise_search.run.parts import Parts
from noise_search.run.progress import Work
from noise_search.run.settings import SHOWN
from noise_search.run.shown import pictures_of, shelves_of, told_address
from noise_search.storage.atomic import write_text
from noise_search.storage.curve_csv import CATEGORY_COLUMNS, COLUMNS, FLOOR_COLUMNS, write_csv
from noise_search.storage.export import export_npz
from noise_search.storage.run_folder import config_text, write_config
from noise_search.storage.units import read_units

log = logging.getLogger("noise_search")
DESCRIBED = ("title", "short", "better", "biased")  # of a metric, for whoever puts runs together
SPENT = ("spent_nfe", "spent_rows", "spent_padding", "spent_scored", "spent_decoded")
BILLED = ("image_id", "point", "candidate", "nfe_final", *SPENT)


def finish(parts: Parts, folder: Path, logger: Logger, work: Work) -> None:
    """From finished units to the curve, its figures, the report and the logger's mirror; run.json comes last."""
    run, seconds = parts.run, work.seconds
    choices = run.choices
    made = sum(value for stage, value in seconds.items() if stage not in ("judge", "evaluate"))
    log.info("searched and rendered %d images in %.0f s", work.images, made if work.images else 0)
    started = time.monotonic()
    names: dict[str, Any] = {key: choices[key] for key in ("model", "dataset", "algorithm", "verifier", "draft")}
    names |= {"cfg_scale": run.settings.cfg_scale, "seed": run.settings.seed}
    names["weights"] = " ".join(f"{name}:{digest[:16]}" for name, digest in parts.weights.items())
    metrics, rows = metrics_of(parts), curve(parts, folder, names)
    write_csv(folder / "curve.csv", rows, COLUMNS)
    if category_rows := by_category(parts, folder):
        write_csv(folder / "categories.csv", category_rows, CATEGORY_COLUMNS)
    if lacking := {r["metric"] for r in rows if r["value"] is None and metrics[r["metric"]].of_set}:
        log.info("no %s: %d images are too few", ", ".join(sorted(lacking)), run.settings.images)
    refuse_seconds_of_several(rows, run.settings.axis)
    floor_rows = floors(parts, run.settings.images)
    write_csv(folder / "floors.csv", floor_rows, FLOOR_COLUMNS)
    if not floor_rows:
        why = "(scripts/fetch_cifar10.py)" if parts.judge.heldout_name else f"({parts.judge.network} keeps none)"
        log.info("no floors: not %d held-out images at hand %s", run.settings.images, why)
    seconds["evaluate"] = time.monotonic() - started
    if run.settings.draw_figures:
        figures(folder / "figures", metrics, rows, floor_rows, run.settings.axis)
    else:
        remove_figures(folder / "figures", rows)
    pictures = list[Path]()
    columns = list(run.columns) if run.keeps_bank else []
    if len(columns) > 1:
        bank, more = banks(read_units(folder, ("image_id", "bank"), run.settings.images), len(columns)), {}
        if (
            len(parts.verifier.members) - len(run.config["observers"]) > 1
        ):  # an ensemble chose: it has no column of its own
            more[choices["verifier"]] = parts.verifier.combine(torch.from_numpy(bank), bank.shape[1]).argmax(1).numpy()
        pictures.append(write_matrix(folder / "figures", bank, columns, more))
        if len(bank) > 2:
            pictures.append(write_correlation(folder / "figures", bank, columns))
    shown = read_units(folder, SHOWN_COLUMNS, min(run.settings.images, SHOWN))
    grids = write_grids(folder / "images", shown, run.plan.purchases)

    if run.judge.export_npz:
        for p in run.plan.purchases:
            export_npz(folder, p.point, run.settings.images, folder / f"samples/{p.label}.npz")
    spent = bill(parts, read_units(folder, BILLED, run.settings.images))
    facts, made_with = facts_of(parts, spent, work), made_with_of(parts)
    shelves, keep = shelves_of(parts, folder), min(run.settings.keep_bank, run.settings.images)
    page = RunPage(
        title=run.title,
        plan=run.text,
        axis=run.settings.axis,
        metrics=metrics,
        curve=rows,
        floors=floor_rows,
        shown=shown,
        names=run.dataset.texts,
        settings=config_text(run.config),
        facts=facts,
        made_with=made_with,
        tell=told_address(run.algorithm),
        categories=category_rows,
        banks=read_units(folder, BANK_COLUMNS, keep, run.plan.purchases[-1].point) if columns and keep else None,
        columns=columns,
        keep_bank=keep,
        shelves=shelves,
        shelved=pictures_of(parts, folder, shelves),
        pictures=pictures,
    )
    write_report(folder / "report.html", page)
    sheets = {point: np.asarray(grid) for point, grid in grids.items()}
    logger.log(Record(folder, dict(run.config), choices, rows, run.settings.axis, sheets))
    write_config(folder, run.config)  # of a worker with other `images`, if one began the run
    record = {"images": run.settings.images, "axis": run.settings.axis, "choices": choices, "columns": columns}
    record["metrics"] = {name: {key: getattr(m, key) for key in DESCRIBED} for name, m in metrics.items()}
    record |= {"spent": spent, "seconds": seconds, "facts": facts | made_with}
    write_text(folder / "run.json", json.dumps(record, indent=2) + "\n")
    log.info("report: %s", folder / "report.html")


def refuse_seconds_of_several(rows: list[dict[str, Any]], axis: str) -> None:
    """Say why there are no seconds; with axis=seconds nothing can be drawn then."""
    if unknown := sorted({row["point"] for row in rows if row["seconds"] is None}):
        device = rows[0]["device"]
        why = f"no seconds of points {', '.join(map(str, unknown))}: the images were made on {device}"
        if axis == "seconds":
            raise Refused(f"axis=seconds: {why}; use axis=nfe")
        log.info(why)


def facts_of(parts: Parts, spent: dict[str, int], work: Work) -> dict[str, Any]:
    """What the report says of cost and machine."""
    facts: dict[str, Any] = dict(spent)
    if parts.source is not None:
        facts["candidates read again from"] = parts.source
    facts |= {f"seconds to {stage}": round(value, 1) for stage, value in work.seconds.items() if value}
    facts["images made this time"] = work.images
    facts["device"] = f"{parts.device}, {os.cpu_count()} CPU cores, {platform.machine()}, {platform.system()}"
    return facts


def made_with_of(parts: Parts) -> dict[str, str]:
    return {f"weights: {name}": digest for name, digest in parts.weights.items()} | versions()


def bill(parts: Parts, table: pa.Table) -> dict[str, int]:
    """What the whole sweep cost, in NFE and network rows over all images, as metered; it must equal the plan, of a
    `Bounded` algorithm be at most that."""
    once = table.filter(pc.equal(table["point"], parts.run.plan.purchases[0].point))
    address = ["image_id", "candidate", *([] if parts.run.algorithm.anytime else ["point"])]
    planned = parts.run.plan.sweep_search * once.num_rows
    winners = table.group_by(address).aggregate([("nfe_final", "max")])
    spent = {
        "images": once.num_rows,
        "nfe": pc.sum(once["spent_nfe"]).as_py(),
        "nfe_search": planned,
        "nfe_final": pc.sum(winners["nfe_final_max"]).as_py(),
        "nfe_backward": parts.run.plan.sweep_backward * once.num_rows,
        "network_rows": pc.sum(once["spent_rows"]).as_py(),
        "padding_rows": pc.sum(once["spent_padding"]).as_py(),
        "images_scored": pc.sum(once["spent_scored"]).as_py(),
        "latents_decoded": pc.sum(once["spent_decoded"]).as_py(),
        "distinct_winners": winners.num_rows,
    }
    if parts.source is not None:  # nothing was searched, and some winners had been rendered there
        if spent["nfe"] > len(winners) * parts.run.budget.final_nfe:
            raise RuntimeError(f"reading {parts.source} again cost more than rendering every winner: {spent}")
        spent |= {"nfe_search": 0, "nfe_final": spent["nfe"]}
    if isinstance(parts.run.algorithm, Bounded):  # what it did not need was not searched
        spent["nfe_search"] = min(planned, spent["nfe"] - spent["nfe_final"])
    if spent["nfe"] != spent["nfe_search"] + spent["nfe_final"]:
        raise RuntimeError(f"the sweep's bill is not what was planned: {spent}")
    return spent
