"""From finished units to the curve: one row per (budget, metric), each with its network, reference and sample count."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from noise_search.core.algorithm import keeps
from noise_search.measures.judge import Judge
from noise_search.measures.metric import SCORES, Metric, Value, mean_of
from noise_search.run.parts import Parts
from noise_search.storage.curve_csv import COLUMNS, SECONDS
from noise_search.storage.units import units

MEASURED = (
    "image_id",
    "point",
    "condition",
    "scores",
    "scores_final",
    "measures",
    "features",
    "nfe_search",
    "nfe_final",
    "network_rows",
    "left_out",
    "seconds_search",
    "seconds_final",
    "device",
)


def judged(
    features: np.ndarray, index: np.ndarray, judge: Judge, measures: np.ndarray | None = None
) -> dict[str, Value]:
    """All that the judge says of images with these features [N, D], index [N] and what its metrics of images made of
    them, measures [N, P]; without, those are left out."""
    out, column = dict[str, Value](), 0
    for metric in judge.metrics:
        if metric.of_set is not None:
            out[metric.name] = metric.of_set(features, index)
        elif measures is not None:
            out[metric.name] = mean_of(measures[:, column])
            column += 1
    return out


class Measured(NamedTuple):
    """What was stored of the N images of one budget, in the order of ids: condition, nfe, network_rows and left_out
    int64 [N], seconds_search and seconds_final float64 [N] (NaN: not known), scores and scores_final float64 [N, V],
    measures float64 [N, P], features float32 [N, D]. devices: whose seconds they are."""

    condition: np.ndarray
    nfe: np.ndarray
    network_rows: np.ndarray
    left_out: np.ndarray
    seconds_search: np.ndarray
    seconds_final: np.ndarray
    scores: np.ndarray
    scores_final: np.ndarray
    measures: np.ndarray
    features: np.ndarray
    devices: set[str]


def measured(folder: Path, images: int, point: int) -> Measured:
    """Read one budget unit by unit: memory holds its numbers once."""
    out, devices = dict[str, np.ndarray](), set[str]()
    for unit in units(folder, MEASURED, images, point):
        ids = unit["image_id"].to_numpy()
        devices |= set(unit["device"].unique().to_pylist())
        columns = ("condition", "network_rows", "left_out", "scores", "scores_final", "measures")
        found = {name: np.array(unit[name].to_pylist()) for name in columns}
        found["nfe"] = unit["nfe_search"].to_numpy() + unit["nfe_final"].to_numpy()
        found["features"] = np.stack([np.frombuffer(value, np.float32) for value in unit["features"].to_pylist()])
        for name in ("seconds_search", "seconds_final"):
            found[name] = np.array(unit[name].to_pylist(), np.float64)
        for name, values in found.items():
            if name not in out:
                out[name] = np.empty((images, *values.shape[1:]), values.dtype)
            out[name][ids] = values
    return Measured(**out, devices=devices)


def metrics_of(parts: Parts) -> dict[str, Metric]:
    """All metrics of a run by name, in the order of the curve's rows: of the verifier's scores, then the judge's."""
    out = []
    for member, network in zip(parts.verifier.members, parts.verifier.networks, strict=True):
        suffix = f"/{member}" if member else ""
        out += [Metric(f"{kind}{suffix}", *words, "higher", network) for kind, words in SCORES.items()]
    return {metric.name: metric for metric in (*out, *parts.judge.metrics)}


def values_of(rows: Measured, first: np.ndarray, parts: Parts) -> dict[str, Value]:
    """All numbers of one budget. first: scores_final at the first budget, for the paired difference."""
    search, final = rows.scores, rows.scores_final
    out: dict[str, Value] = {}
    for v, member in enumerate(parts.verifier.members):
        columns = search[:, v], final[:, v], final[:, v] - first[:, v]
        suffix = f"/{member}" if member else ""
        out |= {f"{kind}{suffix}": mean_of(column) for kind, column in zip(SCORES, columns, strict=True)}
    return out | judged(rows.features, rows.condition, parts.judge, rows.measures)


def curve(parts: Parts, folder: Path, names: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per (budget, metric) over the images in `folder`; `names` fills the columns that name the run.

    Budgets are read one after the other: memory holds the features of one.
    """
    plan, metrics, out, first = parts.run.plan, metrics_of(parts), [], None
    for purchase in plan.purchases:
        rows = measured(folder, parts.run.settings.images, purchase.point)
        metered = (rows.nfe, purchase.nfe), (rows.network_rows, purchase.network_rows)
        if not all(keeps(parts.run.algorithm, *pair) for pair in metered):
            raise RuntimeError(f"point {purchase.point}: the metered NFE or rows differ from the plan")
        first = rows.scores_final if first is None else first
        bought = {k: getattr(purchase, k) for k in COLUMNS if hasattr(purchase, k)}
        if plan.multiply_adds is not None:  # as metered: the plan's may be the most it can be
            worth = float(rows.network_rows.mean()) + 3 * plan.each * purchase.nfe_backward
            bought["gflops"] = 2 * (worth * plan.multiply_adds - float(rows.left_out.mean())) / 1e9
        bought |= seconds_of(rows)
        for name, value in values_of(rows, first, parts).items():
            told = {"metric": name, "network": metrics[name].network, "reference": reference(metrics[name], value)}
            out.append({**names, **bought, **told, **cells(value, len(rows.condition))})
    return out


def seconds_of(rows: Measured) -> dict[str, Any]:
    """The columns of the seconds an image of one budget; None where they are not known, or of several devices."""
    search, final = (float(values.mean()) for values in (rows.seconds_search, rows.seconds_final))
    known = len(rows.devices) == 1 and not np.isnan(search + final)
    values = (search + final, search, final) if known else (None,) * 3
    return dict(zip(SECONDS, (*values, ", ".join(sorted(rows.devices))), strict=True))


def reference(metric: Metric, value: Value) -> str:
    """What a value was measured against: with its count, where that is not the samples'."""
    counted = f", {value.real} images" if value.real not in (None, value.images) else ""
    return metric.reference + counted


def cells(value: Value, n: int) -> dict[str, Any]:
    """The columns of a value of n images."""
    seen = n if value.images is None else value.images
    return {"n_images": seen, "value": value.value, "ci_low": value.low, "ci_high": value.high}
