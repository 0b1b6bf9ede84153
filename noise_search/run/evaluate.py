"""From finished units to the curve: one row per (budget, metric), each with its network, reference and sample count."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from PIL import Image

from noise_search.core.images import images_to_tensor, tensor_to_images
from noise_search.measures.frechet import Gaussian, frechet_distance
from noise_search.measures.judge import Judge
from noise_search.measures.scores import inception_score, jackknife_error, kernel_distance, precision_recall
from noise_search.run.parts import Parts
from noise_search.storage.atomic import write_text
from noise_search.storage.units import units

COLUMNS = (
    *("model", "dataset", "algorithm", "verifier", "cfg_scale", "seed", "point", "nfe", "nfe_paper", "nfe_search"),
    *("nfe_final", "nfe_backward", "network_rows", "gflops", "n_images", "metric", "network", "reference"),
    *("value", "ci_low", "ci_high", "weights"),
)
FLOOR_COLUMNS = ("kind", "metric", "n_images", "images", "value", "ci_low", "ci_high")
NEIGHBOURS = 3  # of precision and recall
MEASURED = (
    "image_id",
    "point",
    "label",
    "scores",
    "scores_final",
    "features",
    "nfe_search",
    "nfe_final",
    "network_rows",
)


@dataclass(frozen=True)
class Value:
    """value, 95 % interval; None where there is none: too few images, or an interval the metric does not allow."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


def mean_of(values: np.ndarray) -> Value:
    """The mean over images with its normal 95 % interval; missing values leave it empty."""
    if not len(values) or np.isnan(values).any():
        return Value()
    mean = float(values.mean())
    if len(values) < 2:
        return Value(mean)
    half = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5
    return Value(mean, mean - half, mean + half)


def of_set(
    metric: Callable[[np.ndarray], tuple[float, ...]],
    n: int,
    needed: int,
    numbers: int = 1,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> list[Value]:
    """The `numbers` that a metric gives a set of n images, with jackknife intervals cut to `bounds`.

    Empty below `needed` images; no interval below ten times as many.
    """
    if n < needed:
        return [Value()] * numbers
    values = metric(np.arange(n))
    if n < 10 * needed:
        return [Value(value) for value in values]
    half = 1.96 * jackknife_error(metric, n)
    low, high = bounds
    return [Value(v, max(low, v - h), min(high, v + h)) for v, h in zip(values, half.tolist(), strict=True)]


def distances(features: np.ndarray, judge: Judge) -> dict[str, Value]:
    """Kernel and Frechet distances, precision and recall of features [N, D] to the judge's real images.

    Precision and recall use as many samples as there are real images, at most. A Frechet distance has no interval:
    over one set of images an honest one would have to come from seeds.
    """
    n, out = len(features), {}
    for metric, space in judge.frechet.items():
        seen = features[:, space.columns]
        out[metric] = Value(frechet_distance(Gaussian.of(seen), space.gaussian)) if n >= 2 else Value()
    if judge.reference is None:
        return out
    reference, main = judge.reference(), features[:, judge.main.columns]
    cut = main[: len(reference)]
    (kernel,) = of_set(lambda chosen: (kernel_distance(main[chosen], reference),), n, 2)

    def pair(chosen: np.ndarray) -> tuple[float, float]:
        return precision_recall(cut[chosen], reference[: len(cut)], NEIGHBOURS)

    precision, recall = of_set(pair, len(cut), NEIGHBOURS + 1, numbers=2, bounds=(0.0, 1.0))
    return {"kernel_distance": kernel, **out, "precision": precision, "recall": recall}


def counted(metric: str, n: int, judge: Judge) -> int:
    """How many of n images a metric has seen."""
    if metric in ("precision", "recall"):
        assert judge.reference is not None
        return min(n, len(judge.reference()))
    return n


def judged(features: np.ndarray, labels: np.ndarray, judge: Judge) -> dict[str, Value]:
    """All that the judge says of images with these features [N, D] and labels [N]."""
    p = judge.probabilities(features)
    (score,) = of_set(lambda chosen: (inception_score(p[chosen], judge.splits, judge.shuffle),), len(p), judge.splits)
    out = {"inception_score": score}
    if judge.columns_of is not None:
        out["class_accuracy"] = mean_of((p.argmax(1) == judge.columns_of[labels]).astype(np.float64))
    return out | distances(features, judge)


class Measured(NamedTuple):
    """What was stored of the N images of one budget, in the order of ids: label, nfe and network_rows int64 [N], scores
    and scores_final float64 [N, V], features float32 [N, D]."""

    label: np.ndarray
    nfe: np.ndarray
    network_rows: np.ndarray
    scores: np.ndarray
    scores_final: np.ndarray
    features: np.ndarray


def measured(folder: Path, images: int, point: int) -> Measured:
    """Read one budget unit by unit: memory holds its numbers once."""
    out: dict[str, np.ndarray] = {}
    for unit in units(folder, MEASURED, images, point):
        ids = unit["image_id"].to_numpy()
        found = {name: np.array(unit[name].to_pylist()) for name in ("label", "network_rows", "scores", "scores_final")}
        found["nfe"] = unit["nfe_search"].to_numpy() + unit["nfe_final"].to_numpy()
        found["features"] = np.stack([np.frombuffer(value, np.float32) for value in unit["features"].to_pylist()])
        for name, values in found.items():
            if name not in out:
                out[name] = np.empty((images, *values.shape[1:]), values.dtype)
            out[name][ids] = values
    return Measured(**out)


def metrics(rows: Measured, first: np.ndarray, parts: Parts) -> dict[str, Value]:
    """All metrics of one budget. first: scores_final at the first budget, for the paired difference."""
    search, final = rows.scores, rows.scores_final
    out: dict[str, Value] = {}
    for v, member in enumerate(parts.verifier.members):
        suffix = f"/{member}" if member else ""
        out[f"score{suffix}"] = mean_of(search[:, v])
        out[f"score_final{suffix}"] = mean_of(final[:, v])
        out[f"score_final_gain{suffix}"] = mean_of(final[:, v] - first[:, v])
    return out | judged(rows.features, rows.label, parts.judge)


def curve(parts: Parts, folder: Path, names: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per (budget, metric) over the images in `folder`; `names` fills the columns that name the run.

    Budgets are read one after the other: memory holds the features of one.
    """
    judge, out, first = parts.judge, [], None
    members = {
        member and f"/{member}": network
        for member, network in zip(parts.verifier.members, parts.verifier.networks, strict=True)
    }
    networks = {
        f"{kind}{suffix}": name
        for suffix, name in members.items()
        for kind in ("score", "score_final", "score_final_gain")
    }
    networks |= {"inception_score": judge.probe, "class_accuracy": judge.probe}
    networks |= {metric: space.network for metric, space in judge.frechet.items()}
    references = {metric: space.reference for metric, space in judge.frechet.items()}
    references |= dict.fromkeys(("kernel_distance", "precision", "recall"), judge.reference_name)
    for purchase in parts.plan.purchases:
        rows = measured(folder, parts.settings.images, purchase.point)
        if (rows.nfe != purchase.nfe).any() or (rows.network_rows != purchase.network_rows).any():
            raise RuntimeError(f"point {purchase.point}: the metered NFE or rows differ from the plan")
        first = rows.scores_final if first is None else first
        for metric, value in metrics(rows, first, parts).items():
            out.append(
                {
                    **names,
                    **{k: getattr(purchase, k) for k in COLUMNS if hasattr(purchase, k)},
                    "n_images": counted(metric, len(rows.label), judge),
                    "metric": metric,
                    "network": networks.get(metric, judge.network),
                    "reference": references.get(metric, ""),
                    "value": value.value,
                    "ci_low": value.low,
                    "ci_high": value.high,
                }
            )
    return out


def floors(parts: Parts, n: int) -> list[dict[str, Any]]:
    """What the judge says of real images, as many as the samples, and of their autoencoder reconstructions.

    Empty where fewer held-out images are at hand: a floor at another n would be another number.
    """
    judge = parts.judge
    out: list[dict[str, Any]] = []
    heldout = judge.heldout(n)
    if heldout is None:
        return out
    real, labels = heldout
    kinds = {"real": real}
    if parts.model.reconstruct:
        kinds["reconstructed"] = tensor_to_images(parts.model.reconstruct(images_to_tensor(real, parts.device)))
    for kind, images in kinds.items():
        for metric, value in judged(judge.features(images), labels, judge).items():
            row = {"kind": kind, "metric": metric, "n_images": counted(metric, n, judge), "images": judge.heldout_name}
            out.append(row | {"value": value.value, "ci_low": value.low, "ci_high": value.high})
    return out


def write_csv(path: Path, rows: list[dict[str, Any]], columns: Sequence[str]) -> None:
    """Rows with `columns`; None becomes an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def chosen_images(table: pa.Table, point: int) -> np.ndarray:
    """The images of a budget, uint8 [N, H, W, 3]."""
    rows = table.filter(pa.array(table["point"].to_numpy() == point))
    return np.stack([np.asarray(Image.open(io.BytesIO(data))) for data in rows["png"].to_pylist()])
