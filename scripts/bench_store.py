"""What storage costs: a resume that finds 50,000 images finished, the reduction of their features, the share of a run.

    python scripts/bench_store.py [images=50000]      (about 4 minutes on two cores, 1 GB of disk)

Prints seconds and peak memory; the share of a run is that of writing units of the CIFAR-10 demo's size.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from noise_search.evaluate import measured
from noise_search.metrics.frechet import Gaussian
from noise_search.settings import UNIT
from noise_search.store import SCHEMA, finished_ids, write_unit

FEATURES = 2048


def rows(ids: range, points: int, features: int, rng: np.random.Generator) -> list[dict]:
    """Rows as a run writes them, of random numbers."""
    filler = dict.fromkeys(SCHEMA.names, 0) | {"features_search": None, "bank": None, "digest": "0" * 32}
    out = []
    for i in ids:
        image = {"png": rng.bytes(2500), "features": rng.standard_normal(features, dtype=np.float32).tobytes()}
        scores = {"scores": [float(rng.standard_normal())], "scores_final": [float(rng.standard_normal())]}
        out += [filler | {"image_id": i, "point": point} | image | scores for point in range(1, points + 1)]
    return out


def clock(what: str, started: float) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what}: {time.monotonic() - started:.2f} s, peak memory so far {peak:.2f} GB", flush=True)


def main(images: int) -> None:
    rng, footer = np.random.default_rng(0), {"settings": "", "weights": "{}", "versions": "{}"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = time.monotonic()
        for start in range(0, images, UNIT):
            write_unit(folder, rows(range(start, min(start + UNIT, images)), 1, FEATURES, rng), footer)
        clock(f"{images:,} images written, random numbers made included", started)
        started = time.monotonic()
        assert finished_ids(folder) == set(range(images))
        clock("a resume that finds them all", started)
        started = time.monotonic()
        found = measured(folder, images, 1)
        gaussian = Gaussian.of(found.features)
        clock(f"mean and covariance of {gaussian.mean.shape[0]} features", started)
    with tempfile.TemporaryDirectory() as name:
        unit, count = rows(range(UNIT), 5, 1280, rng), 20
        started = time.monotonic()
        for k in range(count):
            shifted = [row | {"image_id": row["image_id"] + k * UNIT} for row in unit]
            write_unit(Path(name), shifted, footer)
        seconds = (time.monotonic() - started) / count
        print(f"a unit of {UNIT} images at five budgets: {1000 * seconds:.0f} ms; the demo makes one in about 28 s:")
        print(f"  {seconds / 28:.2%} of its time")


if __name__ == "__main__":
    option, _, value = (sys.argv[1] if len(sys.argv) > 1 else "images=50000").partition("=")
    if option != "images" or not value.isdigit():
        raise SystemExit("usage: python scripts/bench_store.py [images=50000]")
    main(int(value))
