"""The paper's claims on prompts, on the embedded text-to-image model: run the twins, write docs/results/text.md.

    python scripts/results_text.py [images=300] [seeds=0,1,2] [searched=0,1,2] [out=docs/results] [more=OVERRIDE,...]

One bank of candidates a seed (experiment=scenes/scaling) tells what every verifier would have chosen, at every number
of candidates: the candidate is the image, and every candidate has the scores of all. Beside it zero-order search and
search over paths (experiment=scenes/algorithms), of the seeds `searched`, where those are fewer. Every run is a folder
of outputs/results_text/ and is not made again; stop it and start it at will. About 15 minutes a seed on one core that
does nothing else.
"""

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from noise_search.core.gather import ranks
from noise_search.datasets.scenes import scenes
from noise_search.report.comparison import markdown
from noise_search.report.matrix import banks
from noise_search.scenes.language import CATEGORIES
from noise_search.storage.atomic import write_text
from noise_search.storage.run_folder import finished_images
from noise_search.storage.units import read_units

RUNS = Path("outputs/results_text")
COLUMNS = ("satisfied", "demands met", "scenes_clip", "scenes_aesthetic")
NOTHING, ENSEMBLE = "nothing (one image)", "scenes_ensemble"
CHOOSING = {  # which of the bank's columns a verifier looks at
    "scenes_clip": ("scenes_clip",),
    "scenes_aesthetic": ("scenes_aesthetic",),
    ENSEMBLE: ("scenes_clip", "scenes_aesthetic"),
    "scenes_oracle": ("scenes_oracle",),
    "brightness": ("brightness",),
}


class Change(NamedTuple):
    """A mean over images of a difference, each the mean over seeds, with its 95 % interval over images."""

    mean: float
    half: float

    def __str__(self) -> str:
        return f"{self.mean:+.3f} ± {self.half:.3f}"

    @property
    def verdict(self) -> str:
        return "higher" if self.mean > self.half else "lower" if self.mean < -self.half else "not told apart"


def change(a: np.ndarray, b: np.ndarray) -> Change:
    """b - a, [seeds, images]: the same captions in each seed, so seeds are averaged first."""
    difference = (b - a).mean(0)
    return Change(float(difference.mean()), 1.96 * float(difference.std(ddof=1)) / len(difference) ** 0.5)


def run(name: str, images: int, *options: str) -> Path:
    """The folder of a run of so many images, made where it is not finished yet."""
    folder = RUNS / name
    if (finished_images(folder) or (0, ""))[0] != images:
        where = (f"images={images}", "logger=none", f"hydra.run.dir={folder}")
        subprocess.run([sys.executable, "run.py", *options, *where], check=True)
    return folder


def read_bank(folder: Path, images: int) -> tuple[np.ndarray, list[str]]:
    """float64 [images, N, columns]: every candidate's scores, and whose they are."""
    columns = json.loads((folder / "run.json").read_text())["columns"]
    return banks(read_units(folder, ("image_id", "bank"), images), len(columns)), columns


def chosen(bank: np.ndarray, columns: list[str], looks: Sequence[str], n: int) -> np.ndarray:
    """[images, COLUMNS] of the best of the first n candidates, by the mean of their ranks in these columns."""
    among = torch.from_numpy(bank[:, :n])
    total = torch.stack([ranks(among[..., columns.index(name)]).double() for name in looks]).sum(0)
    best = bank[np.arange(len(bank)), total.argmax(1).numpy()]
    met, clip, looks_clean = (best[:, columns.index(f"scenes_{name}")] for name in ("oracle", "clip", "aesthetic"))
    return np.stack([met == 1, met, clip, looks_clean], 1)


def measured(folder: Path, images: int) -> np.ndarray:
    """[images, COLUMNS] of the results at a run's largest point: the judge's metrics of images."""
    point = max(read_units(folder, ("point",), images)["point"].to_pylist())
    table = read_units(folder, ("image_id", "measures"), images, point)
    return np.array(table["measures"].to_pylist(), np.float64)[np.argsort(table["image_id"].to_numpy())]


def gains(plain: np.ndarray, found: dict[str, np.ndarray]) -> str:
    lines = [[NOTHING, *(f"{value:.3f}" for value in plain.mean((0, 1)))]]
    lines += [[k, *(str(change(plain[..., m], v[..., m])) for m in range(4))] for k, v in found.items()]
    return f"## Every verifier's gain on every other (figure 8)\n\n{markdown(['chosen by', *COLUMNS], lines)}\n"


def scaling(curve: dict[int, np.ndarray]) -> str:
    first = curve[min(curve)]
    lines = [
        [f"{nfe}", *(f"{v:.3f}" for v in values.mean((0, 1))), str(change(first[..., 0], values[..., 0]))]
        for nfe, values in curve.items()
    ]
    header = ["NFE", *COLUMNS, "satisfied, gain"]
    return f"## The ensemble against NFE (figure 9)\n\n{markdown(header, lines)}\n"


def algorithms(found: dict[str, np.ndarray]) -> str:
    lines = []
    for name, values in found.items():
        cells = [f"{value:.3f}" for value in values.mean((0, 1))]
        lines.append([name, *cells, *(str(change(found["random"][..., m], values[..., m])) for m in (0, 2))])
    header = [f"algorithm, {len(found['random'])} seed(s)", *COLUMNS, "satisfied, less random's", "clip, less random's"]
    return f"## Random search, zero-order search, search over paths (table 2)\n\n{markdown(header, lines)}\n"


def categories(named: np.ndarray, found: dict[str, np.ndarray]) -> str:
    lines = [[k, *(f"{v[:, named == name, 0].mean():.3f}" for name in CATEGORIES)] for k, v in found.items()]
    return f"## Captions satisfied, by category (table 1)\n\n{markdown(['chosen by', *CATEGORIES], lines)}\n"


def claims(plain: np.ndarray, found: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> str:
    """What the paper says of prompts, and what is found here, by the intervals alone."""

    def told(name: str, m: int) -> str:
        gain = change(plain[..., m], found[name][..., m])
        return f"- {name}, {COLUMNS[m]}: {gain} ({gain.verdict})"

    lines = ["## The paper's claims", "", "Changes against one image. *Verifier and task must fit*:", ""]
    lines += [told(name, 0) for name in found]
    lines += [told("scenes_clip", 3), told("scenes_aesthetic", 2)]
    lines += ["", "*Ensembles generalise*: the ensemble on every column.", ""]
    lines += [told(ENSEMBLE, m) for m in range(4)]
    lines += [
        "",
        "*Random search is the best on prompts*: captions satisfied, and the ensemble's own members, less its.",
        "",
    ]
    for name in [name for name in other if name != "random"]:
        apart = [change(other["random"][..., m], other[name][..., m]) for m in (0, 2, 3)]
        lines.append(f"- {name}: " + ", ".join(f"{c} ({c.verdict})" for c in apart))
    return "\n".join(lines) + "\n"


def heading(images: int, seeds: int, most: int, folder: Path) -> str:
    """folder: of one of the runs, whose guidance, weights and device stand for all."""
    row = next(csv.DictReader((folder / "curve.csv").open()))
    return (
        f"# The paper's claims on prompts, on drawn scenes\n\n"
        f"`python scripts/results_text.py {' '.join(sys.argv[1:])}`: the embedded text-to-image model, {images}"
        f" captions with combinations held out from training, {seeds} seeds, random search over {most} candidates of"
        " 10 NFE; the other algorithms spend as much or less. Columns: captions satisfied and share of demands met, by"
        " the exact reader; cosine of the dual encoder; log-odds of the critic. ±: 95 %, over captions, of the mean"
        f" over seeds. Guidance {row['cfg_scale']}, {row['device']}; weights, with the first digits of their sha256:"
        f" {row['weights'].replace(' ', ', ')}.\n"
    )


def main() -> None:
    options = dict(word.split("=", 1) for word in sys.argv[1:])
    if unknown := set(options) - {"images", "seeds", "searched", "out", "more"}:
        sys.exit(f"unknown: {', '.join(sorted(unknown))}; there are images, seeds, searched, out, more")
    images, seeds = int(options.get("images", "300")), [int(s) for s in options.get("seeds", "0,1,2").split(",")]
    common = tuple(options["more"].split(",")) if "more" in options else ()
    every = [
        read_bank(run(f"bank-s{s}", images, "experiment=scenes/scaling", f"seed={s}", *common), images) for s in seeds
    ]
    most = every[0][0].shape[1]
    plain = np.stack([chosen(bank, columns, ("scenes_clip",), 1) for bank, columns in every])
    found = {
        name: np.stack([chosen(bank, columns, looks, most) for bank, columns in every])
        for name, looks in CHOOSING.items()
    }
    points = [1 << i for i in range(most.bit_length())]
    curve = {
        10 * n: np.stack([chosen(bank, columns, CHOOSING[ENSEMBLE], n) for bank, columns in every]) for n in points
    }
    searched = [int(seed) for seed in options["searched"].split(",")] if "searched" in options else seeds
    other = {"random": found[ENSEMBLE][[seeds.index(seed) for seed in searched]]}
    for name, more in (("zo", ()), ("paths", ("algorithm.backward_nfe=4",))):
        asked = ("experiment=scenes/algorithms", f"algorithm={name}", *more, *common)
        other[name] = np.stack([measured(run(f"{name}-s{s}", images, *asked, f"seed={s}"), images) for s in searched])
    dataset = scenes()
    named = np.array([dataset.categories[k] for k in dataset.index(range(images))])
    told = heading(images, len(seeds), most, RUNS / f"bank-s{seeds[0]}")
    parts = [told, claims(plain, found, other), gains(plain, found), scaling(curve), algorithms(other)]
    out = Path(options.get("out", "docs/results")) / "text.md"
    write_text(out, "\n".join([*parts, categories(named, {NOTHING: plain, **found})]))
    print(out)


if __name__ == "__main__":
    main()
