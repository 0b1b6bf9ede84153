"""One bank of candidates, many verifiers: read a finished random search again as if another verifier had chosen.

    python -m noise_search select RUN verifier=NAME [into=FOLDER]

RUN's candidates do not depend on its verifier, and it kept what every observer gave them: nothing is searched again,
and only those new winners are rendered that RUN had not rendered.
"""

import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from hydra import compose
from omegaconf import DictConfig, OmegaConf, open_dict
from PIL import Image
from torch import Tensor

from noise_search.algorithms.random import RandomState
from noise_search.driver import Readout, Spent
from noise_search.experiment import assemble, finish, notes_of, plan_of, refuse_other_settings, start_log
from noise_search.files import write_text
from noise_search.loggers import NoLogger
from noise_search.metrics.judges import images_to_tensor
from noise_search.problem import Problem
from noise_search.report.matrix import banks
from noise_search.runner import Key, Parts, begin, render, rows_of
from noise_search.settings import read_settings, result_hash, result_settings
from noise_search.store import finished_ids, read_units, write_unit
from noise_search.verifiers.base import Candidates


def select(run: Path, name: str, into: Path | None = None) -> Path:
    """Write the run that `run.py verifier=name observers=[the others]` would have written, beside RUN or `into`."""
    if not (run / "run.json").is_file():
        raise ValueError(f"{run}: not a finished run (no run.json)")
    record, cfg = json.loads((run / "run.json").read_text()), OmegaConf.load(run / "config.yaml")
    assert isinstance(cfg, DictConfig)
    columns = record["columns"]
    if not columns:
        raise ValueError(f"{run}: keeps no bank of candidates; only algorithm=random does")
    verifier = compose(f"verifier/{name}").verifier
    needed = list(verifier.get("members", [name]))
    if set(needed) - set(columns):
        raise ValueError(f"verifier={name}: {run} has scores of {', '.join(columns)} only; see `observers`")
    choices = record["choices"] | {"verifier": name}
    with open_dict(cfg):
        cfg.verifier = verifier
        cfg.observers = [other for other in columns if other not in needed]
    folder = into or run.parent / f"{choices['model']}-{choices['algorithm']}-{name}-{result_hash(_root_=cfg)}"
    settings = read_settings(cfg)
    plan = plan_of(cfg, settings, choices)
    parts = dataclasses.replace(assemble(cfg, settings, plan), source=str(run))
    identity = {"settings": result_settings(cfg), "weights": parts.weights}
    folder.mkdir(parents=True, exist_ok=True)
    refuse_other_settings(folder, identity)
    write_text(folder / "identity.json", json.dumps(identity, indent=2) + "\n")
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    plan.write_csv(folder / "plan.csv")
    text = plan.text(settings.images, cfg.model.rows_per_second, notes_of(cfg))
    start_log(folder, f"read again from {run}\n{text}")
    order = [columns.index(other) for other in (*needed, *cfg.observers)]
    finish(cfg, parts, NoLogger(), folder, choices, text, reread(parts, run, folder, order))
    return folder


@torch.no_grad()
def reread(parts: Parts, run: Path, folder: Path, order: list[int]) -> dict[str, float]:
    """Write the units of `folder` from those of `run`. order: the columns of its bank, the chooser's first."""
    table, done = read_units(run), finished_ids(folder)
    seconds = {"images": 0.0, "search": 0.0, "render": 0.0, "judge": 0.0}
    for path in sorted((run / "units").glob("*.parquet")):
        first, last = map(int, path.stem.split("-"))
        ids = [i for i in range(first, last + 1) if i not in done]
        rows = table.filter(pa.array(np.isin(table["image_id"].to_numpy(), ids)))
        if not ids or not rows.num_rows:
            continue
        bank = torch.from_numpy(banks(rows, len(order))[:, :, order]).float().to(parts.device)
        problem = begin(parts, ids)
        readouts = [chosen(parts, problem, bank, purchase.point) for purchase in parts.plan.purchases]
        finals = known(parts, problem, rows) if not parts.verifier.needs else {}
        finals |= render(parts, problem, readouts, seconds, have=finals)
        write_unit(folder, rows_of(parts, problem, readouts, finals, bank))
        seconds["images"] += len(ids)
    return seconds


def chosen(parts: Parts, problem: Problem, bank: Tensor, point: int) -> Readout:
    """What a search of `point` candidates would have read out, at the cost that the source metered for it."""
    count = len(problem.ids)
    cost = parts.budget.cost(parts.algorithm, point)
    rows = cost.search * (1 if parts.settings.cfg_scale == 1.0 else 2)
    result = parts.algorithm.result(problem, RandomState(max(point, 1), bank[:, : max(point, 1)]))
    return Readout(point, 0, result, Spent(*(torch.full((count,), value) for value in (cost.search, 0, rows))))


def known(parts: Parts, problem: Problem, rows: pa.Table) -> dict[Key, dict[str, Any]]:
    """The winners that the source has rendered, scored by this run's verifiers."""
    position = {image: i for i, image in enumerate(problem.ids)}
    stored = {(position[row["image_id"]], 0, row["candidate"]): row for row in rows.to_pylist()}
    images = np.stack([np.asarray(Image.open(io.BytesIO(row["png"]))) for row in stored.values()])
    who = torch.tensor([key[0] for key in stored], device=parts.device)
    shown = Candidates(images_to_tensor(images, parts.device)[:, None], problem.labels[who])
    scores = parts.verifier.scores(shown)[:, 0].cpu()
    each = 1 if parts.settings.cfg_scale == 1.0 else 2
    return {
        key: {
            "scores_final": scores[n].tolist(),
            "png": row["png"],
            "features": row["features"],
            "nfe_final": row["nfe_final"],
            "rows_final": row["nfe_final"] * each,
        }
        for n, (key, row) in enumerate(stored.items())
    }
