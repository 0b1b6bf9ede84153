"""What storage costs: a resume that finds 50,000 images finished, all that a judge says of them, the share of a run.

    python scripts/bench_store.py [images=50000] [real=10000] [run=FOLDER]   (2 minutes on two cores, 1 GB of disk)

Prints seconds and peak memory. The judge: every metric of 2,048 features and 1,000 classes with its interval, against
`real` images whose features are kept. run: a finished run whose units are written again, timed against what they took
to make.
"""

import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from noise_search.measures.frechet import Gaussian
from noise_search.measures.judge import Judge, Space
from noise_search.measures.usual import (
    Comparison,
    class_metrics,
    frechet_metric,
    kernel_metric,
    precision_recall_metrics,
)
from noise_search.run.evaluate import judged, measured
from noise_search.run.settings import UNIT
from noise_search.storage.run_folder import finished_ids
from noise_search.storage.units import SCHEMA, units, write_unit

FEATURES = 2048


def rows(ids: range, rng: np.random.Generator) -> list[dict]:
    """Rows as a run of one budget writes them, of random numbers."""
    filler = dict.fromkeys(SCHEMA.names, 0) | {
        "features_search": None,
        "bank": None,
        "measures": [],
        "digest": "0" * 32,
        "spent_seconds": None,
        "device": "",
    }
    out = []
    for i in ids:
        image = {"png": rng.bytes(2500), "features": rng.standard_normal(FEATURES, dtype=np.float32).tobytes()}
        scores = {"scores": [float(rng.standard_normal())], "scores_final": [float(rng.standard_normal())]}
        out.append(filler | {"image_id": i, "point": 1} | image | scores)
    return out


def clock(what: str, started: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what}: {time.monotonic() - started:.2f} s, peak memory so far {peak:.2f} GB", flush=True)


def judge_of(real: int, rng: np.random.Generator) -> Judge:
    """Of published ImageNet numbers, without its networks."""
    kept, head = (rng.standard_normal((n, FEATURES), dtype=np.float32) for n in (real, 1000))
    main = Space(slice(None), Gaussian.of(kept), "real", "network")

    def probabilities(features: np.ndarray) -> np.ndarray:
        logits = features @ head.T / 20
        return np.exp(logits - logits.max(1, keepdims=True))

    compared = Comparison(main, lambda: kept)
    metrics = (
        *class_metrics(probabilities, "probe", np.arange(1000), splits=10, shuffle=True),
        kernel_metric(compared, "real"),
        frechet_metric(main),
        *precision_recall_metrics(compared, "real", equal=False),
    )
    return Judge("network", "probe", lambda x: x, probabilities, main, metrics)


def main(images: int, real: int, footer: dict[str, str]) -> None:
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        for start in range(0, images, UNIT):
            write_unit(folder, rows(range(start, min(start + UNIT, images)), rng), footer)
        clock(f"{images:,} images written, random numbers made included", started)
        started = time.monotonic()
        assert finished_ids(folder) == set(range(images))
        clock("a resume that finds them all", started)
        started = time.monotonic()
        found = measured(folder, images, 1)
        clock("their numbers and features read", started)
    judge, index = judge_of(real, rng), np.arange(images) % 1000
    for metric in judge.metrics:
        started = time.monotonic()
        value = judged(found.features, index, replace(judge, metrics=(metric,)))[metric.name]
        clock(f"{metric.name} against {real:,}: {value.value}, {value.low} to {value.high}", started)


def share(run: Path, footer: dict[str, str]) -> None:
    """Seconds of writing a run's units again / seconds that searching and rendering their images took."""
    made, written = 0.0, 0.0
    with tempfile.TemporaryDirectory() as name:
        for unit in units(run):
            found = unit.to_pylist()
            made += sum({row["image_id"]: sum(row["spent_seconds"].values()) for row in found}.values())
            started = time.monotonic()
            write_unit(Path(name), found, footer)
            written += time.monotonic() - started
    print(f"{run}: {written:.2f} s to write what took {made:.1f} s to make, {written / made:.2%}")


if __name__ == "__main__":
    options = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
    if set(options) - {"images", "real", "run"} or not all(options.get(k, "1").isdigit() for k in ("images", "real")):
        raise SystemExit("usage: python scripts/bench_store.py [images=50000] [real=10000] [run=FOLDER]")
    empty = {"settings": "", "weights": "{}", "versions": "{}"}
    main(int(options.get("images", "50000")), int(options.get("real", "10000")), empty)
    if "run" in options:
        share(Path(options["run"]), empty)
