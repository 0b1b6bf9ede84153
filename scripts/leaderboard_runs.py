"""One run of the leaderboard: made without pages and pictures, and what of it is worth keeping."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from noise_search.configuration.compose import composed
from noise_search.core.budget import Purchase
from noise_search.core.denoiser import Batches
from noise_search.measures.board import rounded
from noise_search.run.assemble import assemble, settled
from noise_search.run.description import Description, describe
from noise_search.run.evaluate import Measured, measured
from noise_search.run.execute import begin_folder, identity_of_parts, make_missing_images, refuse_other_settings
from noise_search.run.parts import Parts
from noise_search.storage.units import read_units

PLAIN = ("logger=none", "keep_images=false", "keep_bank=0", "precision=float32", "compile=false")


@dataclass(frozen=True)
class Made:
    """A finished run: its parts, its folder, the CPU seconds that it took this time."""

    parts: Parts
    folder: Path
    cpu: float

    @property
    def purchases(self) -> list[Purchase]:
        return self.parts.run.plan.purchases

    def at(self, point: int) -> Measured:
        return measured(self.folder, self.parts.run.settings.images, point)


def make(options: Sequence[str], folder: Path) -> Made:
    """Search and render what the folder lacks; nothing is drawn."""
    started = time.process_time()
    parts = loaded(describe(*composed([*options, *PLAIN])))
    refuse_other_settings(folder, identity_of_parts(parts))
    folder.mkdir(parents=True, exist_ok=True)
    parts = begin_folder(parts, folder, identity_of_parts(parts))
    make_missing_images(parts, folder)
    return Made(parts, folder, time.process_time() - started)


LOADED: dict[str, Parts] = {}  # what has been loaded so far: most runs differ in their algorithm alone


def loaded(run: Description) -> Parts:
    """As `assemble`; the networks of an earlier run with the same model, verifier and judge."""
    key = run.dataset.digest + json.dumps(
        [run.config[name] for name in ("model", "dataset", "verifier", "metrics", "cfg_scale")]
    )
    if key not in LOADED:
        LOADED[key] = assemble(run)
        return LOADED[key]
    parts = LOADED[key]
    settle = partial(settled, precision=parts.tuning.precision)
    run = replace(run, model=settle(run.model), draft=run.draft.settled(settle))
    draft = run.draft.load(parts.model, run.model, parts.device)
    made_with = {**parts.made_with, "settings": run.digest}
    return replace(parts, run=run, draft=draft, made_with=made_with, batches=Batches(parts.tuning.batch_size))


def own_scores(made: Made, point: int) -> np.ndarray:
    """float64 [N]: the verifier's of the finished images."""
    return made.at(point).scores_final[:, 0]


def judged(made: Made, rows: Measured) -> dict[str, list[float]]:
    """Of every image, what the judge alone says: of classes the probe's probability of its own; of captions, the
    judge's metrics of images."""
    judge = made.parts.judge
    if judge.columns_of is not None:
        seen = judge.probabilities(rows.features)
        return {"own_class": all_rounded(seen[np.arange(len(seen)), judge.columns_of[rows.condition]])}
    names = [metric.name for metric in judge.metrics if metric.of_set is None]
    return {name: all_rounded(rows.measures[:, i]) for i, name in enumerate(names)}


def all_rounded(values: np.ndarray) -> list[float]:
    return [rounded(value) for value in np.asarray(values, np.float64).tolist()]


def point_of(made: Made, purchase: Purchase) -> dict[str, Any]:
    """What is kept of a point: its cost an image as metered, and what every image scored."""
    rows = made.at(purchase.point)
    spent = read_units(made.folder, ["point", "nfe_search", "nfe_final"]).to_pylist()
    nfe = [row["nfe_search"] + row["nfe_final"] for row in spent if row["point"] == purchase.point]
    c, plan = made.parts.run.budget.search_nfe, made.parts.run.plan
    searched = sum(row["nfe_search"] for row in spent if row["point"] == purchase.point) / len(nfe)
    share = searched / purchase.nfe_search if purchase.nfe_search else 1.0  # below 1 where a search may stop early
    network_rows = float(rows.network_rows.mean())
    work = (network_rows + 3 * plan.each * purchase.nfe_backward) * (plan.multiply_adds or 0)
    cost = {
        "nfe": sum(nfe) / len(nfe),
        "gflops": 2 * (work - float(rows.left_out.mean())) / 1e9,
        "scored": purchase.scored * share,
        "backward": purchase.nfe_backward,
        "differentiated": purchase.nfe_backward / c,  # candidates through whose decoder and verifier a gradient went
        "finished": 1 if purchase.nfe_final else 0,  # decoded once more
    }
    return {
        "point": purchase.point,
        "cost": cost,
        "scores": {"score": all_rounded(rows.scores_final[:, 0]), **judged(made, rows)},
    }


def kept(made: Sequence[Made]) -> dict[str, Any]:
    """What is kept of one method's seeds: every point that all have, and the distance of all their images together."""
    points, first = [], made[0]
    for purchase in first.purchases:
        each = [point_of(run, purchase) for run in made]
        costs = {name: float(np.mean([p["cost"][name] for p in each])) for name in each[0]["cost"]}
        scores = {name: [p["scores"][name] for p in each] for name in each[0]["scores"]}
        rows = [run.at(purchase.point) for run in made]
        points.append({"point": purchase.point, "cost": costs, "scores": scores, "kid": distances(first.parts, rows)})
    return {"weights": dict(first.parts.weights), "points": points}


def distances(parts: Parts, rows: Sequence[Measured]) -> list[float]:
    """Kernel distance of all images together, and without each of ten groups of neighbours, seed after seed."""
    metric = next(metric for metric in parts.judge.metrics if metric.name == "kernel_distance")
    assert metric.of_set is not None
    features = np.concatenate([r.features for r in rows])
    value = metric.of_set(features, np.concatenate([r.condition for r in rows]))
    return all_rounded(np.array([value.value, *value.left_out]))


def write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(f".{path.name}")
    half.write_text(json.dumps(content, separators=(",", ":")) + "\n")
    half.rename(path)
