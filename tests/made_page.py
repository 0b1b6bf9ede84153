"""A made-up page of a run, all of whose numbers are known: neither a run nor torch is needed."""

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from noise_search.measures.metric import SCORES, Metric
from noise_search.report.gallery import Shown, write_gallery
from noise_search.report.run_content import BANK_COLUMNS, SHOWN_COLUMNS, RunPage
from noise_search.report.run_page import write_report
from noise_search.report.shelves import Seen, shelves

NAMES = (
    "airplane",
    "a very long prompt about a red fox that sits in deep snow beside two small cubes",
    "cat",
    "<b>ship</b>",
)
POINTS, NFE = (1, 4, 16, 64), (40, 200, 680, 2600)
COLUMNS = ("classifier", "brightness")
METRICS = [
    *(Metric(f"{kind}/{name}", *words, "higher", name) for name in COLUMNS for kind, words in SCORES.items()),
    Metric(
        "kernel_distance", "kernel distance to real images", "kernel distance", "lower", "lite2", "1,000 real images"
    ),
    Metric("frechet_distance", "Frechet distance", "FD", "lower", "lite2", "10,000 real images", biased=True),
]


def picture(number: int, side: int) -> np.ndarray:
    """uint8 [side, side, 3]: a smooth one of its own, with some grain."""
    shift = number // 12
    return np.roll(base(number % 12, side), (shift % side, shift // side), (0, 1))


@cache
def base(number: int, side: int) -> np.ndarray:
    rng = np.random.default_rng(number)
    x, y = np.meshgrid(*2 * (np.linspace(0, 6, side),))
    waves = [np.sin(a * x + b * y + c) for a, b, c in rng.uniform(-1.5, 1.5, (3, 3))]
    return np.clip(128 + 90 * np.stack(waves, 2) + 8 * rng.normal(size=(side, side, 3)), 0, 255).astype(np.uint8)


def encoded(values: np.ndarray, kind: str = "png") -> bytes:
    out = io.BytesIO()
    Image.fromarray(values).save(out, kind, quality=85, compress_level=1)
    return out.getvalue()


def made_curve() -> list[dict[str, Any]]:
    """Rows as of curve.csv."""
    rows = []
    for m, metric in enumerate(METRICS):
        for k, (point, nfe) in enumerate(zip(POINTS, NFE, strict=True)):
            value = 0.3 + 0.1 * k + 0.01 * m if metric.better == "higher" else 0.9 / (k + 1) + 200 * metric.biased
            half = None if metric.biased else 0.02
            interval = {"ci_low": value - half, "ci_high": value + half} if half else {"ci_low": None, "ci_high": None}
            told = {"metric": metric.name, "network": metric.network, "n_images": 1000, "seconds": nfe / 7}
            rows.append(told | {"point": point, "nfe": nfe, "value": value, "algorithm": "random"} | interval)
    return rows


def made_page(
    path: Path, images: int = 100, side: int = 32, candidates: int = 96, keep: int = 32
) -> list[dict[str, Any]]:
    """Write the page of a made-up run; returns the rows of its curve."""
    rng, rows, bank_rows = np.random.default_rng(0), list[dict[str, Any]](), list[dict[str, Any]]()
    small = min(side, 64)
    for i in range(images):
        bank = rng.normal(size=(candidates, len(COLUMNS))).round(3)
        for point in POINTS:
            best = int(bank[:point, 0].argmax())
            values = (i, point, i % len(NAMES), best, bank[best].tolist(), encoded(picture(1000 * i + best, side)))
            rows.append(dict(zip(SHOWN_COLUMNS, values, strict=True)))
        if i < keep:
            cells = np.stack([picture(1000 * i + k, small) for k in range(64)]).reshape(8, 8, small, small, 3)
            sheet = encoded(cells.transpose(0, 2, 1, 3, 4).reshape(8 * small, 8 * small, 3), "webp")
            bank_rows.append(dict(zip(BANK_COLUMNS, (i, POINTS[-1], bank.flatten().tolist(), sheet), strict=True)))
    last = rows[len(POINTS) - 1 :: len(POINTS)]
    names = [NAMES[row["condition"]] for row in last]
    scores = np.array([row["scores_final"] for row in last])
    found = shelves(Seen(names, scores, COLUMNS, 1, rng.uniform(0.8, 1.6, images)))
    curve = made_curve()
    page = RunPage(
        title="sit_cifar10: random search, classifier verifier, CFG 1",
        plan="plan: sit_cifar10/random/classifier/cfg=1, 1000 images\n"
        + "  point      nfe  (search + final)  nfe_paper\n" * 3,
        axis="nfe",
        metrics={metric.name: metric for metric in METRICS},
        curve=curve,
        floors=[
            {"kind": "real", "metric": "kernel_distance", "value": 0.01},
            {"kind": "reconstructed", "metric": "kernel_distance", "value": 0.07},
        ],
        shown=pa.Table.from_pylist(rows),
        names=NAMES,
        settings="model: sit_cifar10\n",
        facts={
            "images": 1000,
            "nfe": 2_600_000,
            "device": "CPU",
        },
        made_with={"weights: sit_cifar10.safetensors": "0123456789abcdef" * 4, "torch": "2.9.0"},
        tell=lambda candidate, point: f"candidate {candidate}",
        banks=pa.Table.from_pylist(bank_rows) if bank_rows else None,
        columns=COLUMNS,
        keep_bank=keep,
        shelves=found,
        shelved={i: row["png"] for i, row in enumerate(last)},
    )
    write_report(path, page)
    return curve


def made_gallery(path: Path, images: int = 12, side: int = 32) -> list[dict[str, str]]:
    """Write the gallery of three made-up series, the first of two seeds; returns the rows of their combined curve."""
    rows, sides = list[dict[str, str]](), list[Shown]()
    for s, series in enumerate(("random", "zo", "paths, seed apart")):
        for seed in range(2 if s == 0 else 1):
            for row in made_curve():
                value = row["value"] + 0.05 * s + 0.01 * seed
                bounds = {key: "" if row[key] is None else str(row[key] + 0.05 * s) for key in ("ci_low", "ci_high")}
                own = {
                    "series": series,
                    "seed": str(seed),
                    "value": str(value),
                    "nfe": str(row["nfe"] + 30 * s),
                } | bounds
                rows.append({key: str(cell) for key, cell in row.items()} | own)
        png = [[encoded(picture(100 * i + s * (k > 1) + k, side)) for k in range(len(NFE))] for i in range(images)]
        names = [NAMES[i % len(NAMES)] for i in range(images)]
        scores = [[0.1 * k + s for k in range(len(NFE))] for _ in range(images)]
        sides.append(Shown(series, [nfe + 30 * s for nfe in NFE], range(images), names, png, scores))
    write_gallery(path, rows, {metric.name: metric for metric in METRICS}, sides)
    return rows
