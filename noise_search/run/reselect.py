"""One bank of candidates, many verifiers: read a finished search again as if another verifier had chosen.

    noise-search select RUN verifier=NAME [points=1,4,...] [into=FOLDER]

RUN's candidates do not depend on its verifier, and it kept what every observer gave them: nothing is searched again,
and only those new winners are rendered that RUN had not rendered.
"""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from noise_search.core.algorithm import Independent
from noise_search.core.driver import Readout, Spent
from noise_search.core.problem import Problem
from noise_search.errors import Refused
from noise_search.report.loggers import NoLogger
from noise_search.report.matrix import banks
from noise_search.run.assemble import assemble
from noise_search.run.calibrate import one_pass
from noise_search.run.description import columns_of, describe
from noise_search.run.execute import begin_folder, identity_of_parts, refuse_other_settings, start_log
from noise_search.run.finish import finish
from noise_search.run.parts import Parts, begin
from noise_search.run.progress import Work
from noise_search.run.render import Key, render
from noise_search.run.reopen import reopen, saved
from noise_search.run.search_units import refuse_broken, rows_of
from noise_search.storage.run_folder import finished_ids, finished_images, is_complete, read_json, span, unit_paths
from noise_search.storage.units import read_units, write_unit


def reselect(
    source: Path,
    name: str,
    configured: Callable[[str], dict[str, Any]],
    into: Path | None = None,
    points: list[int] | None = None,
) -> Path:
    """Write what `run.py verifier=name observers=[the others]` would have written, as RUN-select-name or `into`.

    name: of a verifier whose scores RUN keeps, with the very settings it had there, or of an ensemble of such.
    configured: the name of a verifier -> its configuration. points: numbers of candidates to read out, up to those of
    RUN; None: its own.
    """
    if not finished_images(source):
        raise Refused(f"{source}: not a finished run")
    config, choices = saved(source)
    if not read_json(source / "run.json").get("columns"):
        raise Refused(f"{source}: keeps no bank; that wants algorithm=random, and no verifier of the whole set")
    there = reopen(source)
    most = there.plan.purchases[-1].point
    if there.bought:  # by the minutes of its budget
        target = {"_target_": "noise_search.core.budget.Budget"}
        nfe = {name: config["budget"][name] for name in ("search_nfe", "final_nfe")}
        config["budget"] = target | nfe | {"points": list(there.bought)}
    columns = columns_of(config, choices["verifier"])
    verifier = columns[name] if name in columns else configured(name)
    needed = {name: verifier} if name in columns else columns_of({"verifier": verifier, "observers": {}}, name)
    for member, node in needed.items():
        if columns.get(member) != node:
            has = ", ".join(columns)
            raise Refused(f"verifier={name}: {source} has no scores of {member} like that, only of {has}")
    config["verifier"] = verifier
    config["observers"] = {other: node for other, node in columns.items() if other not in needed}
    if points is not None:
        if not points or max(points) > most:
            raise Refused(f"points={points}: {source} has {most} candidates an image")
        config["budget"] = config["budget"] | {"points": points, "nfe": None}
    folder = into or source.parent / f"{source.name}-select-{name}"
    run = describe(config, choices | {"verifier": name})
    parts = dataclasses.replace(assemble(run), source=os.path.relpath(source, folder))
    refuse_other_settings(source, {"weights": parts.weights})
    identity = identity_of_parts(parts) | {"source": {"run": source.name}}
    folder.mkdir(parents=True, exist_ok=True)
    refuse_other_settings(folder, identity)
    if is_complete(folder, run.settings.images, run.settings.axis):
        return folder
    begin_folder(parts, folder, identity)
    start_log(folder, f"read again from {source}\n{run.text}")
    one_pass(parts)  # what the first call sets up is no part of a render's seconds
    order = [list(columns).index(other) for other in (*needed, *config["observers"])]
    finish(parts, folder, NoLogger(), rewrite_units(parts, source, folder, order))
    return folder


@torch.no_grad()
def rewrite_units(parts: Parts, source: Path, folder: Path, order: list[int]) -> Work:
    """Write the units of `folder` from those of `source`. order: the columns of its bank, the chooser's first."""
    table, done = read_units(source), finished_ids(folder)
    work = Work()
    for path in unit_paths(source):
        ids = [i for i in span(path) if i not in done]
        rows = table.filter(pa.array(np.isin(table["image_id"].to_numpy(), ids)))
        if not ids or not rows.num_rows:
            continue
        bank = torch.from_numpy(banks(rows, len(order))[:, :, order]).float().to(parts.device)
        problem = begin(parts, ids)
        readouts = [chosen(parts, problem, bank, purchase.point) for purchase in parts.run.plan.purchases]
        finals = known(parts, problem, rows, order)
        render(parts, problem, readouts, work, finals)
        if not parts.run.plan.purchases[-1].nfe_final:  # what is rendered here was an image of the search already
            for final in finals.values():
                final |= {"nfe_final": 0, "rows_final": 0}
        refuse_broken(problem)
        write_unit(folder, timed(rows_of(parts, problem, readouts, finals, bank), rows), parts.footer)
        work.images += len(ids)
    return work


def chosen(parts: Parts, problem: Problem, bank: Tensor, point: int) -> Readout:
    """What a search of `point` candidates would have read out, at the cost that the source metered for it."""
    algorithm = parts.run.algorithm
    assert isinstance(algorithm, Independent)
    cost = parts.run.budget.cost(algorithm, point)
    result = algorithm.result(problem, algorithm.resumed(bank), point)
    less = parts.run.left_out.times(cost.search // parts.run.budget.search_nfe)
    values = cost.search, 0, cost.search * parts.run.guidance.rows - less.rows, less.multiply_adds
    return Readout(point, 0, result, Spent(*(torch.full((len(problem.ids),), value) for value in values)))


def timed(made: list[dict[str, Any]], rows: pa.Table) -> list[dict[str, Any]]:
    """Rows that were made from the source's, with the seconds that their searches took there; None of a point that was
    not read out there, and of all where this is another device; and with the small pictures of its candidates."""
    found = {(row["image_id"], row["point"]): row for row in rows.to_pylist()}
    sheets = {row["image_id"]: row["sheet"] for row in found.values() if row["sheet"] is not None}
    for row in made:
        there = found.get((row["image_id"], row["point"]), {})
        row["seconds_search"] = there.get("seconds_search")
        row["sheet"] = sheets.get(row["image_id"]) if row["bank"] is not None else None
        if devices := set(rows["device"].to_pylist()) - {row["device"]}:
            row["device"] = ", ".join(sorted({row["device"], *devices}))
            row["seconds_search"] = row["seconds_final"] = None
    return made


def known(parts: Parts, problem: Problem, rows: pa.Table, order: list[int]) -> dict[Key, dict[str, Any]]:
    """The winners that the source has rendered, with its scores of them in this run's order."""
    position = {image: i for i, image in enumerate(problem.ids)}
    return {
        (position[row["image_id"]], 0, row["candidate"]): {
            "scores_final": [row["scores_final"][v] for v in order],
            "measures": row["measures"],
            "digest": row["digest"],
            "png": row["png"],
            "features": row["features"],
            "nfe_final": row["nfe_final"],
            "rows_final": row["nfe_final"] * parts.run.guidance.rows,
            "seconds_final": row["seconds_final"],
        }
        for row in rows.to_pylist()
    }
