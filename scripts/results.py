"""The paper's phenomena on the embedded model: run the protocol and write docs/results/.

    python scripts/results.py [images=1000] [seeds=0,1,2] [only=oracles,hacking,...] [out=docs/results] [compile=true]

Every run is a folder of outputs/results/ and is not made again; stop it and start it at will. About 10 minutes a curve
on two cores: four hours for everything, less with compile=true (needs a C++ compiler).
"""

import csv
import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib import pyplot as plt

from noise_search.core.gather import ranks
from noise_search.measures.metric import Metric
from noise_search.report.combined import Rows, draw, metrics_of
from noise_search.report.figures import label, save
from noise_search.report.matrix import banks, write_matrix
from noise_search.storage.atomic import write_text
from noise_search.storage.units import read_units

RUNS = Path("outputs/results")
TOTALS = "budget.nfe=[20,70,130,180]"  # of (c) and (e), whose runs cannot share candidates
FEW = "budget.nfe=[20,130,220]"  # where one more width costs about 90
MOVES = "budget.points=[0,1,2,4]"  # of first-order search
DISTANCES = ("inception_score", "kernel_distance", "frechet_distance")
BANK = ["classifier", "classifier_probability", "classifier_b", "classifier_ssl", "oracle_is"]


class Results:
    """images, seeds: of the protocol; out: where the tables and figures go; compile: of the model."""

    def __init__(self, images: int, seeds: list[int], out: Path, compile: str) -> None:
        self.images, self.seeds, self.out, self.compile = images, seeds, out, compile

    def run(self, name: str, *options: str, seed: int = 0) -> Path:
        """Make (or find finished) one run; returns its folder."""
        folder = RUNS / f"{name}-s{seed}"
        common = (f"images={self.images}", f"seed={seed}", "budget=results", f"compile={self.compile}")
        where = ("logger=none", f"hydra.run.dir={folder}")
        subprocess.run([sys.executable, "run.py", *common, *where, *options], check=True)
        return folder

    def bank(self, seed: int) -> Path:
        """Random search with the classifier's logit, and every other verifier as an observer."""
        return self.run("random", "verifier=classifier", f"observers=[{','.join(BANK[1:])}]", seed=seed)

    def selected(self, verifier: str, seed: int) -> Path:
        """The bank of `seed`, read again under another verifier."""
        folder = RUNS / f"random-{verifier}-s{seed}"
        command = ["-m", "noise_search", "select", str(self.bank(seed)), f"verifier={verifier}", f"into={folder}"]
        subprocess.run([sys.executable, *command], check=True)
        return folder

    def equal(self, seed: int) -> Path:
        """The bank of `seed`, read again at the totals of the other algorithms."""
        folder = RUNS / f"random-equal-s{seed}"
        options = ["verifier=classifier", "points=1,5,11,16", f"into={folder}"]  # 20, 70, 130, 180 NFE
        subprocess.run([sys.executable, "-m", "noise_search", "select", str(self.bank(seed)), *options], check=True)
        return folder

    def oracles(self) -> Iterator[str]:
        """(a) Oracles: search with the metric itself."""
        yield from self.section(
            "oracles",
            {
                "oracle IS": [self.selected("oracle_is", 0)],
                "oracle FD": [self.run("oracle_fid", "verifier=oracle_fid")],
                "classifier": [self.bank(0)],
            },
            DISTANCES,
        )

    def hacking(self) -> Iterator[str]:
        """(b) Random search with a classifier: its score and IS, distances, precision and recall."""
        runs = {
            "logit": [self.bank(s) for s in self.seeds],
            "probability": [self.selected("classifier_probability", s) for s in self.seeds],
        }
        yield from self.section("hacking", runs, (*DISTANCES, "precision", "recall"))
        for name, folders in runs.items():  # each its own score, in its own units
            yield from self.section(f"hacking_{name}", {name: folders}, ("score_final",))

    def algorithms(self) -> Iterator[str]:
        """(c) The algorithms side by side at equal NFE."""
        options = {
            "none": ("algorithm=none", "budget.points=[20,60,180]"),
            "ZO-2": ("algorithm=zo", TOTALS),
            "ZO-4": ("algorithm=zo", "algorithm.neighbours=4", TOTALS),
            "Paths-1": ("algorithm=paths", "algorithm.paths=1", TOTALS),
            "Paths-2": ("algorithm=paths", FEW),
        }
        runs = {name: [self.run(name, *chosen, seed=s) for s in self.seeds] for name, chosen in options.items()}
        runs = {"random": [self.equal(s) for s in self.seeds]} | runs
        yield from self.section(
            "algorithms",
            runs,
            ("score_final", "class_accuracy", *DISTANCES),
        )

    def correlation(self) -> Iterator[str]:
        """(d) The self-supervised score against the class logit."""
        bank = banks(read_units(self.bank(0)), len(BANK))
        x, y = bank[:, 0, BANK.index("classifier_ssl")], bank[:, 0, BANK.index("classifier")]
        r, n = float(np.corrcoef(x, y)[0, 1]), len(x)
        low, high = np.tanh(np.arctanh(r) + np.array([-1.96, 1.96]) / (n - 3) ** 0.5)
        within = [np.corrcoef(row[:, BANK.index("classifier_ssl")], row[:, 0])[0, 1] for row in bank]
        figure, axes = plt.subplots(figsize=(4.6, 3.8), layout="constrained")
        axes.scatter(x, y, s=4, alpha=0.4)
        axes.set_xlabel(f"likeness of image and early prediction (Lite0, t = 0.4), n = {n:,}")
        axes.set_ylabel("logit of the conditioning class (Lite0)")
        axes.set_title(f"r = {r:.2f}")
        axes.spines[["top", "right"]].set_visible(False)
        save(figure, self.out, "correlation")
        yield f"r = {r:.3f} [{low:.3f}, {high:.3f}] over {n:,} images (candidate 0, search pass, seed 0)."
        yield f"Among the {bank.shape[1]} candidates of one image, the mean r is {np.nanmean(within):.3f}."
        yield "![correlation](correlation.png)"

    def sweeps(self) -> Iterator[str]:
        """(e) Similarity of zero-order search, and the backward NFE of search over paths."""
        runs = {
            f"similarity {s}": [self.run(f"similarity{s}", "algorithm=zo", f"algorithm.similarity={s}", TOTALS)]
            for s in (0.5, 0.8, 0.99)
        }
        runs["similarity 0.95"] = [self.run("ZO-2", "algorithm=zo", TOTALS)]
        yield from self.section("similarity", runs, ("score_final", "inception_score", "kernel_distance"))
        paths = ("algorithm=paths", "algorithm.paths=1")
        runs = {
            "backward NFE 6": [self.run("backward6", *paths, "algorithm.backward_nfe=6", TOTALS)],
            "backward NFE 14": [self.run("Paths-1", *paths, TOTALS)],
            "backward NFE 30": [self.run("backward30", *paths, "algorithm.backward_nfe=30", FEW)],
        }
        yield from self.section("backward", runs, ("score_final", "inception_score", "kernel_distance"))

    def choices(self) -> Iterator[str]:
        """(g) Where the paper is open: the options, measured."""
        zo, paths, metrics = ("algorithm=zo", TOTALS), ("algorithm=paths", FEW), ("score_final", *DISTANCES)
        runs = {
            "keep, best": [self.run("ZO-2", *zo)],
            "redraw, best": [self.run("redraw", *zo, "algorithm.on_stall=redraw")],
            "keep, latest": [self.run("latest", *zo, "algorithm.pivot=latest")],
        }
        yield "## Zero-order search: on_stall, pivot\n"
        yield from self.section("stall", runs, metrics)
        runs = {
            "all": [self.run("Paths-2", *paths)],
            "per_path": [self.run("per_path", *paths, "algorithm.pool=per_path")],
        }
        yield "\n## Search over paths: pool\n"
        yield from self.section("pool", runs, metrics)
        runs = {
            f"step {s}": [self.run(f"step{s}", "algorithm=first_order", f"algorithm.step_size={s}", MOVES)]
            for s in (0.05, 0.1, 0.2)
        }
        yield "\n## First-order search: step_size\n"
        yield from self.section("step", runs, metrics)

    def matrix(self) -> Iterator[str]:
        """(f) What one verifier selects, judged by the others."""
        bank = banks(read_units(self.bank(0)), len(BANK))
        both = [ranks(torch.from_numpy(bank[..., BANK.index(name)])) for name in ("classifier", "classifier_ssl")]
        more = {"classifier + classifier_ssl": (both[0] + both[1]).argmax(1).numpy()}
        write_matrix(self.out, bank, BANK, more)
        rows = [line.split(",") for line in (self.out / "cross_verifier.csv").read_text().splitlines()]
        for row in (rows[0], ["---"] * len(rows[0]), *rows[1:]):
            yield "| " + " | ".join(row) + " |"
        yield ""
        yield (
            "Gain of the choice over a random candidate, in standard deviations of the judge among an image's"
            f" {bank.shape[1]} candidates; scores of the search passes; seed 0. classifier: Lite0's logit,"
            " classifier_probability: its probability, classifier_b: Lite1's logit, classifier_ssl: likeness of"
            " image and early prediction (Lite0, t = 0.4), oracle_is: the judge's own probability (Lite2 probe)."
        )
        yield ""
        yield "![cross-verifier matrix](cross_verifier.png)"

    def section(self, name: str, runs: dict[str, list[Path]], metrics: tuple[str, ...]) -> Iterator[str]:
        """A table at every budget and a figure of each metric; a series is the runs of its seeds."""
        rows: Rows = []
        for series, folders in runs.items():
            for folder in folders:
                with (folder / "curve.csv").open() as file:
                    rows += [{"series": series, **row} for row in csv.DictReader(file) if row["metric"] in metrics]
        with (folder / "floors.csv").open() as file:  # the same for every run of as many images
            floors = {(row["kind"], row["metric"]): row["value"] for row in csv.DictReader(file)}
        known = metrics_of([folder for folders in runs.values() for folder in folders])
        for metric in metrics:
            chosen = [row for row in rows if row["metric"] == metric and row["value"]]
            draw(self.out / name, known[metric], chosen, "nfe")
        yield from table(rows, floors, {metric: known[metric] for metric in metrics})
        yield " ".join(f'<img src="{name}/{metric}.png" width="32%">' for metric in metrics)


def table(rows: Rows, floors: dict[tuple[str, str], str], metrics: dict[str, Metric]) -> Iterator[str]:
    """Markdown: one line a (series, budget), one column a metric; the mean over seeds and its lowest and highest."""
    labels = {m: label({**row, "n_images": int(row["n_images"])}, metrics[m]) for row in rows for m in [row["metric"]]}
    yield "| series | seeds | NFE | " + " | ".join(labels[metric] for metric in metrics) + " |"
    yield "|" + "---|" * (len(metrics) + 3)

    def key(row: dict[str, Any]) -> tuple[str, int]:
        return row["series"], int(row["nfe"])

    order = list(dict.fromkeys(row["series"] for row in rows))
    for (series, nfe), group in itertools.groupby(sorted(rows, key=lambda r: (order.index(r["series"]), key(r))), key):
        found = list(group)
        cells = [[float(row["value"]) for row in found if row["metric"] == m and row["value"]] for m in metrics]
        seeds = ", ".join(sorted({row["seed"] for row in found}, key=int))
        yield f"| {series} | {seeds} | {nfe} | " + " | ".join(map(cell, cells)) + " |"
    kinds = dict.fromkeys(kind for kind, metric in floors if metric in metrics)
    for kind in kinds:
        cells = [[float(floors[kind, m])] if (kind, m) in floors else [] for m in metrics]
        yield f"| {kind} images | | | " + " | ".join(map(cell, cells)) + " |"
    references = {row["metric"]: row["reference"] for row in rows if row["reference"]}
    yield ""
    yield "Of several seeds: the mean (lowest to highest). NFE: of an image, search and final pass together."
    if kinds:
        yield "Real: other images of the test set, as many as the samples; reconstructed: by the model's autoencoder."
    yield " ".join(f"{metrics[metric].title} to {reference}." for metric, reference in references.items())
    yield ""


def cell(values: list[float]) -> str:
    if not values:
        return ""
    mean = f"{np.mean(values):.4g}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.4g} to {max(values):.4g})"


SECTIONS = ("oracles", "hacking", "algorithms", "correlation", "sweeps", "matrix", "choices")


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    images, seeds = int(options.pop("images", 1000)), [int(s) for s in options.pop("seeds", "0,1,2").split(",")]
    only, out = options.pop("only", ",".join(SECTIONS)).split(","), Path(options.pop("out", "docs/results"))
    compile = options.pop("compile", "false")
    if options or set(only) - set(SECTIONS):
        known = "images, seeds, only, out, compile"
        raise SystemExit(f"{options or only}: options are {known}; sections {', '.join(SECTIONS)}")
    results = Results(images, seeds, out, compile)
    for name in only:
        section = getattr(results, name)
        title = section.__doc__.strip()
        setting = f"Model sit_cifar10, guidance 1.0, {images:,} images, 10 NFE a search pass, 20 a final one."
        text = f"# {title}\n\n{setting} What it means: [README.md](README.md).\n\n"
        lines = list(section())
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / f"{name}.md", text + "\n".join(lines) + "\n")
        print(f"{out / name}.md", flush=True)


if __name__ == "__main__":
    main()
