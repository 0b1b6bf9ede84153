"""One bank of candidates, many verifiers: read a finished random search again as if another verifier had chosen.

    noise-search select RUN verifier=NAME [points=1,4,...] [into=FOLDER]

RUN's candidates do not depend on its verifier, and it kept what every observer gave them: nothing is searched again,
and only those new winners are rendered that RUN had not rendered.
"""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from hydra import compose
from omegaconf import OmegaConf, open_dict
from torch import Tensor

from noise_search.algorithms.random import RandomState
from noise_search.core.driver import Readout, Spent
from noise_search.core.problem import Problem
from noise_search.errors import Refused
from noise_search.report.loggers import NoLogger
from noise_search.report.matrix import banks
from noise_search.run.assemble import assemble
from noise_search.run.execute import opened, refuse_other_settings, start_log
from noise_search.run.finish import Run, finish
from noise_search.run.parts import Parts, begin
from noise_search.run.plan import columns_of, notes_of, plan_of, write_plan
from noise_search.run.plugins import versions_of
from noise_search.run.render import Key, render
from noise_search.run.search_units import refuse_broken, rows_of
from noise_search.run.settings import result_settings
from noise_search.storage.atomic import write_text
from noise_search.storage.run_folder import finished_ids, finished_images, is_complete, span, unit_paths
from noise_search.storage.units import read_units, write_unit


def reselect(run: Path, name: str, into: Path | None = None, points: list[int] | None = None) -> Path:
    """Write what `run.py verifier=name observers=[the others]` would have written, as RUN-select-name or `into`.

    name: of a verifier whose scores RUN keeps, with the very settings it had there, or of an ensemble of such. points:
    numbers of candidates to read out, up to those of RUN; None: its own.
    """
    if not finished_images(run):
        raise Refused(f"{run}: not a finished run")
    record, (cfg, settings, choices) = json.loads((run / "run.json").read_text()), opened(run)
    if not record["columns"]:
        raise Refused(f"{run}: keeps no bank of candidates; only a search with algorithm=random does")
    columns = columns_of(cfg, choices["verifier"])
    verifier = columns[name] if name in columns else compose("config", [f"verifier={name}"]).verifier
    needed = {name: verifier} if name in columns else dict(verifier.get("members", {name: verifier}))
    for member, node in needed.items():
        if columns.get(member) != node:
            raise Refused(f"verifier={name}: {run} has no scores of {member} like that, only of {', '.join(columns)}")
    choices = choices | {"verifier": name}
    with open_dict(cfg):
        cfg.verifier = verifier
        cfg.observers = {other: node for other, node in columns.items() if other not in needed}
        if points is not None:
            most = plan_of(cfg, settings, choices).purchases[-1].point
            if not points or max(points) > most:
                raise Refused(f"points={points}: {run} has {most} candidates an image")
            cfg.budget.points, cfg.budget.nfe = points, None
    folder = into or run.parent / f"{run.name}-select-{name}"
    plan = plan_of(cfg, settings, choices)
    parts = dataclasses.replace(assemble(cfg, settings, plan), source=str(run))
    refuse_other_settings(run, {"weights": parts.weights})
    identity = {"settings": result_settings(cfg), "conditions": parts.dataset.digest}
    identity["plugins"] = versions_of(identity["settings"])
    identity |= {"weights": parts.weights, "source": {"run": run.name}}
    folder.mkdir(parents=True, exist_ok=True)
    refuse_other_settings(folder, identity)
    if is_complete(folder, settings.images, settings.axis):
        return folder
    write_text(folder / "identity.json", json.dumps(identity | {"choices": choices}, indent=2) + "\n")
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    write_plan(plan, folder / "plan.csv")
    text = plan.text(settings.images, cfg.model.rows_per_second, notes_of(cfg))
    start_log(folder, f"read again from {run}\n{text}")
    order = [list(columns).index(other) for other in (*needed, *cfg.observers)]
    finish(Run(folder, cfg, choices, parts, text), NoLogger(), rewrite_units(parts, run, folder, order))
    return folder


@torch.no_grad()
def rewrite_units(parts: Parts, run: Path, folder: Path, order: list[int]) -> dict[str, float]:
    """Write the units of `folder` from those of `run`. order: the columns of its bank, the chooser's first."""
    table, done = read_units(run), finished_ids(folder)
    seconds = {"images": 0.0, "search": 0.0, "render": 0.0, "judge": 0.0}
    for path in unit_paths(run):
        ids = [i for i in span(path) if i not in done]
        rows = table.filter(pa.array(np.isin(table["image_id"].to_numpy(), ids)))
        if not ids or not rows.num_rows:
            continue
        bank = torch.from_numpy(banks(rows, len(order))[:, :, order]).float().to(parts.device)
        problem, started = begin(parts, ids), time.monotonic()
        readouts = [chosen(parts, problem, bank, purchase.point) for purchase in parts.plan.purchases]
        finals = known(parts, problem, rows, order)
        finals |= render(parts, problem, readouts, seconds, have=finals)
        refuse_broken(problem)
        made = rows_of(parts, problem, readouts, finals, bank, time.monotonic() - started)
        write_unit(folder, made, parts.footer)
        seconds["images"] += len(ids)
    return seconds


def chosen(parts: Parts, problem: Problem, bank: Tensor, point: int) -> Readout:
    """What a search of `point` candidates would have read out, at the cost that the source metered for it."""
    cost = parts.budget.cost(parts.algorithm, point)
    result = parts.algorithm.result(problem, RandomState(bank.shape[1], bank), point)
    values = cost.search, 0, cost.search * parts.settings.guidance.rows
    return Readout(point, 0, result, Spent(*(torch.full((len(problem.ids),), value) for value in values)))


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
            "rows_final": row["nfe_final"] * parts.settings.guidance.rows,
        }
        for row in rows.to_pylist()
    }
