"""Runs of their own against hacking: KID and IS of each at 50 and 70 NFE, beside the plain one of the same images.

    python -m scripts.results_stopping_runs NAME=RUN ... [out=docs/results/stopping]

NAME: of RUNS, which says what RUN is (100 images, seed 0, budget=results, precision=float32, keep_images=true). Writes
runs.npz, of each run what KID and IS come from at every budget and the logits that Lite0 and Lite1 give its finished
images, and runs.md, the table, which is made of the former without a network. A run that is not given stays as it is.
"""

import sys
from pathlib import Path

import numpy as np

from noise_search.report.comparison import markdown
from noise_search.run.evaluate import measured
from noise_search.storage.atomic import write_text
from noise_search.storage.run_folder import finished_record
from scripts.stopping_numbers import Found, Kept, distance, points_of, real_of, spread, sums_of, told

LOW, HIGH = 50, 70  # NFE
RUNS = {  # name -> the name of the plain run beside it, None: itself; what `python run.py` is asked for
    "classifier": (None, "algorithm=first_order verifier=classifier budget.points=[0,1,2,4]"),
    "held_out": (
        "classifier",
        "algorithm=first_order verifier=held_out verifier.enough=6.58 budget.points=[0,1,2,4]",
    ),
    "log_probability": (
        "classifier",
        "algorithm=first_order verifier=classifier verifier.output=log_probability budget.points=[0,1,2,4]",
    ),
    "ensemble_mean": ("classifier", "algorithm=first_order verifier=ensemble_mean budget.points=[0,1,2,4]"),
    "random": (None, "algorithm=random verifier=classifier budget.points=[3,5]"),
    "random_group": ("random", "algorithm=random verifier=group budget.points=[3,5]"),
}


def kept_of(name: str, folder: Path) -> Kept:
    """name/nfe [P]; name/seen [P, N, 10]; name/logits [P, N, 2]; name/NFE/own, cross: kernel sums; images, real."""
    from noise_search.metrics.lite2 import Lite2

    judge = Lite2().load("cpu")
    real = real_of(judge)
    images, points = int(finished_record(folder)["images"]), [int(point) for point in points_of(folder)]
    rows = [measured(folder, images, point) for point in points]
    out: Kept = {"real": real.sums, "images": np.array([images, len(real.rows)])}
    out[f"{name}/nfe"] = np.array([int(row.nfe[0]) for row in rows])
    out[f"{name}/seen"] = np.stack([judge.probabilities(row.features) for row in rows]).astype(np.float32)
    out[f"{name}/logits"] = np.stack([logits_of_run(folder, images, point) for point in points])
    for row in rows:
        out |= sums_of(f"{name}/{int(row.nfe[0])}", row.features, real)
    return out


def logits_of_run(folder: Path, images: int, point: int) -> np.ndarray:
    """float32 [N, 2]: of their own class, that Lite0 and Lite1 give the finished images of one budget."""
    import io

    import torch
    from PIL import Image

    from noise_search.core.images import images_to_tensor
    from noise_search.core.verifier import Candidates, Surroundings
    from noise_search.storage.units import read_units
    from noise_search.verifiers.classifier import Classifier

    rows = read_units(folder, ["image_id", "point", "condition", "png"]).to_pylist()
    rows = sorted((row for row in rows if row["point"] == point), key=lambda row: row["image_id"])[:images]
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(row["png"]))) for row in rows])
    seen = Candidates(images_to_tensor(pixels)[:, None], torch.tensor([row["condition"] for row in rows]))
    with torch.no_grad():
        both = [Classifier(size, 96, "logit", "float32").load(Surroundings()).score(seen)[:, 0] for size in (0, 1)]
    return torch.stack(both, 1).numpy()


def numbers(kept: Kept, name: str, nfe: int) -> dict[str, Found]:
    """KID and IS of a run at a budget."""
    place = kept[f"{name}/nfe"].tolist().index(nfe)
    return {"KID": distance(kept, f"{name}/{nfe}"), "IS": spread(kept[f"{name}/seen"][place])}


def table(kept: Kept) -> str:
    """One line a run: where it is at 70 NFE, how it came there from 50, and against the plain one."""
    lines = []
    for name, (beside, _) in RUNS.items():
        if f"{name}/nfe" not in kept:
            continue
        low, high = numbers(kept, name, LOW), numbers(kept, name, HIGH)
        plain = numbers(kept, beside, HIGH) if f"{beside}/nfe" in kept else None
        line = [name]
        for metric in ("KID", "IS"):
            line += [f"{low[metric][0]:.3f}", f"{high[metric][0]:.3f}", told(high[metric], low[metric])]
            line += [told(high[metric], plain[metric]) if plain else ""]
        logits = kept[f"{name}/logits"][kept[f"{name}/nfe"].tolist().index(HIGH)].mean(0)
        lines.append([*line, *(f"{logit:.2f}" for logit in logits)])
    header = ["run"]
    for metric in ("KID", "IS"):
        header += [f"{metric} at {LOW}", f"at {HIGH}", "changes by", f"at {HIGH}, less plain's"]
    return markdown([*header, "Lite0", "Lite1"], lines)


def main() -> None:
    given = dict(argument.split("=", 1) for argument in sys.argv[1:])
    out = Path(given.pop("out", "docs/results/stopping"))
    if unknown := sorted(set(given) - set(RUNS)):
        raise SystemExit(f"{', '.join(unknown)}: runs are {', '.join(RUNS)}")
    out.mkdir(parents=True, exist_ok=True)
    kept: Kept = {}
    if (out / "runs.npz").is_file():
        with np.load(out / "runs.npz") as stored:
            kept = dict(stored)
    for name, folder in given.items():
        kept |= kept_of(name, Path(folder))
    np.savez_compressed(out / "runs.npz", **kept)
    write_text(out / "runs.md", table(kept) + "\n")
    print(table(kept), flush=True)


if __name__ == "__main__":
    main()
