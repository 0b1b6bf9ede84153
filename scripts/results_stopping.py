"""What does not turn: first-order search whose images stop, from one finished run to docs/results/stopping.

    python scripts/results_stopping.py RUN [out=docs/results/stopping]

RUN: algorithm=first_order verifier=classifier 'observers=[classifier_b]' with budget points 0, 1, 2, ... By a rule an
image stops at the first of the run's readouts whose finished image scores the level or more, else at its best so far;
the level is the median of real photographs (`logits_of`). Kept is what KID and IS come from (sums of the kernel over
pairs of groups, probabilities of the judge's probe): every number is made again from kept.npz without a network.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from noise_search.core.images import images_to_tensor
from noise_search.core.verifier import Candidates, Surroundings
from noise_search.datasets.cifar10 import shipped_images
from noise_search.measures.pairs import Between, Within, between, within
from noise_search.measures.scores import GROUPS, half_width, inception_score, kernel_distance_of
from noise_search.report.comparison import markdown
from noise_search.report.figures import blank, save
from noise_search.run.evaluate import measured
from noise_search.storage.atomic import write_text
from noise_search.storage.run_folder import finished_record
from noise_search.verifiers.classifier import Classifier

Kept = dict[str, np.ndarray]


RULES = {  # name -> column of the scores (0: Lite0, climbed; 1: Lite1, held out), and from where on it is enough
    "plain": None,
    "best by Lite1": (1, np.inf),
    "Lite1 as real": (1, 6.58),
    "Lite0 as real": (0, 6.43),
}


def stopped(scores: np.ndarray, rule: tuple[int, float] | None) -> np.ndarray:
    """scores [P, N, 2] of every readout so far -> int64 [N], the readout at which each image has stopped."""
    if rule is None:
        return np.full(scores.shape[1], len(scores) - 1)
    return np.minimum(scores[..., rule[0]], rule[1]).argmax(0)


def logits_of(size: int) -> np.ndarray:
    """float32 [1000], the logits of their own class that Lite `size` gives the photographs that are in no reference."""
    import torch

    images, labels = shipped_images("heads")
    verifier = Classifier(size, 96, "logit", "float32").load(Surroundings())
    x, y = images_to_tensor(images)[:, None], torch.from_numpy(labels)
    with torch.no_grad():
        cut = zip(x.split(100), y.split(100), strict=True)
        return np.concatenate([verifier.score(Candidates(*part)).numpy()[:, 0] for part in cut])


def kept_of(folder: Path) -> Kept:
    """scores [P, N, 2] and seen [P, N, 10] of every readout; name/NFE/own, cross: kernel sums of each set."""
    from noise_search.metrics.lite2 import Lite2, reference_features

    judge = Lite2().load("cpu")
    real = within(reference_features(judge.features, judge.identity, "cpu"))
    rows = [measured(folder, int(finished_record(folder)["images"]), int(point)) for point in points_of(folder)]
    features = np.stack([row.features for row in rows])
    scores = np.stack([row.scores_final[:, :2] for row in rows])
    images = features.shape[1]
    out: Kept = {"real": real.sums, "images": np.array([images, len(real.rows)]), "scores": scores}
    out["real_logits"] = np.stack([logits_of(size) for size in (0, 1)])
    out |= {"nfe": np.array([int(row.nfe[0]) for row in rows])}
    out |= {"seen": np.stack([judge.probabilities(f) for f in features]).astype(np.float32)}
    for name, rule in RULES.items():
        for p, nfe in enumerate(out["nfe"].tolist()):
            chosen = features[stopped(scores[: p + 1], rule), np.arange(images)]
            x = within(chosen, groups=GROUPS, origin=real.origin)
            out |= {f"{name}/{nfe}/own": x.sums, f"{name}/{nfe}/cross": between(x, real).sums}
    return out


def points_of(folder: Path) -> list[str]:
    lines = (folder / "plan.csv").read_text().splitlines()
    return [line.split(",")[1] for line in lines[1:]]


def chosen_of(kept: Kept, key: str) -> np.ndarray:
    """int64 [N]: the readouts of the set "name/NFE"."""
    name, nfe = key.split("/")
    return stopped(kept["scores"][: kept["nfe"].tolist().index(int(nfe)) + 1], RULES[name])


def numbers(kept: Kept, key: str) -> dict[str, tuple[float, np.ndarray]]:
    """KID and IS of one run at one budget: the number, and float64 [10] without each group."""
    n, m = (int(count) for count in kept["images"])
    none, side = np.empty((0, 0)), 1
    x = Within(np.empty((n, 0)), none, none, none, kept[f"{key}/own"], none, side)
    y = Within(np.empty((m, 0)), none, none, none, kept["real"], none, side)
    kid = kernel_distance_of(x, y, Between(kept[f"{key}/cross"], none, none))
    chosen = chosen_of(kept, key)
    score = inception_score(kept["seen"][chosen, np.arange(n)], groups=GROUPS)
    return {"KID": (kid.value, kid.left_out), "IS": (score.value, score.left_out)}


def told(a: tuple[float, np.ndarray], b: tuple[float, np.ndarray] | None = None) -> str:
    """a, or a - b, with its 95 % interval by the jackknife over ten groups of images."""
    value, left = (a[0], a[1]) if b is None else (a[0] - b[0], a[1] - b[1])
    half = half_width(left)
    return f"{value:{'' if b is None else '+'}.3f} [{value - half:.3f}, {value + half:.3f}]"


def page(kept: Kept) -> dict[str, str]:
    """Two tables: every run at every budget against the first one; every run against itself at 50 NFE: does it turn?"""
    found: dict[str, dict[int, Any]] = {}
    for key in kept:
        if key.endswith("/own"):
            name, nfe, _ = key.split("/")
            found.setdefault(name, {})[int(nfe)] = numbers(kept, f"{name}/{nfe}")
    first, level, turns = next(iter(found)), [], []
    for name, budgets in found.items():
        for nfe, values in sorted(budgets.items()):
            base = found[first].get(nfe) if name != first else None
            chosen = chosen_of(kept, f"{name}/{nfe}")
            scores = kept["scores"][chosen, np.arange(len(chosen))].mean(0)
            line = [name, str(nfe), *(told(values[metric]) for metric in ("KID", "IS"))]
            line += [told(values[metric], base[metric]) if base else "" for metric in ("KID", "IS")]
            level.append([*line, f"{scores[0]:.2f}", f"{scores[1]:.2f}"])
        start = 50
        for nfe in sorted(nfe for nfe in budgets if nfe > start):
            changes = [told(budgets[nfe][metric], budgets[start][metric]) for metric in ("KID", "IS")]
            turns.append([name, f"{start} to {nfe}", *changes])
    header = ["run", "NFE", "KID", "IS", f"KID - that of {first}", f"IS - that of {first}", "Lite0", "Lite1"]
    return {
        "level": markdown(header, level),
        "turns": markdown(["run", "NFE", "KID changes by", "IS changes by"], turns),
    }


def draw(kept: Kept, into: Path) -> None:
    """into/turn.svg: KID against IS along each run's budgets."""
    figure = blank(4.6, 3.4)
    axes = figure.add_subplot()
    for name in dict.fromkeys(key.split("/")[0] for key in kept if key.endswith("/own")):
        budgets = sorted(int(key.split("/")[1]) for key in kept if key.startswith(f"{name}/") and key.endswith("/own"))
        values = [numbers(kept, f"{name}/{nfe}") for nfe in budgets]
        x, y = ([value[metric][0] for value in values] for metric in ("IS", "KID"))
        (line,) = axes.plot(x, y, marker="o", markersize=4, label=name)
        for nfe, across, up in zip(budgets, x, y, strict=True):
            axes.annotate(
                str(nfe), (across, up), (4, 4), textcoords="offset points", fontsize=7, color=line.get_color()
            )
    axes.set_xlabel("IS (Lite2 probe)")
    axes.set_ylabel("KID (Lite2)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    save(figure, into, "turn", ("svg",))


def main() -> None:
    folder, *rest = sys.argv[1:]
    out = Path(dict(argument.split("=", 1) for argument in rest).get("out", "docs/results/stopping"))
    kept = kept_of(Path(folder))
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "kept.npz", **kept)
    draw(kept, out)
    for name, text in page(kept).items():
        write_text(out / f"{name}.md", text + "\n")
        print(text, flush=True)


if __name__ == "__main__":
    main()
