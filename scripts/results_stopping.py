"""What does not turn: first-order search whose images stop, from one finished run to docs/results/stopping.

    python -m scripts.results_stopping RUN [out=docs/results/stopping]

RUN: algorithm=first_order verifier=classifier 'observers=[classifier_b]' with budget points 0, 1, 2, ... By a rule an
image stops at the first of the run's readouts whose finished image scores the level or more, else at its best so far;
the level is the median of real photographs (`logits_of`). Kept is what KID and IS come from (sums of the kernel over
pairs of groups, probabilities of the judge's probe): every number is made again from kept.npz without a network.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from noise_search.report.comparison import markdown
from noise_search.report.figures import blank, save
from noise_search.run.evaluate import measured
from noise_search.storage.atomic import write_text
from noise_search.storage.run_folder import finished_record
from scripts.stopping_numbers import Found, Kept, distance, logits_of, points_of, real_of, spread, sums_of, told

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


def kept_of(folder: Path) -> Kept:
    """scores [P, N, 2] and seen [P, N, 10] of every readout; name/NFE/own, cross: kernel sums of each set."""
    from noise_search.metrics.lite2 import Lite2

    judge = Lite2().load("cpu")
    real = real_of(judge)
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
            out |= sums_of(f"{name}/{nfe}", chosen, real)
    return out


def chosen_of(kept: Kept, key: str) -> np.ndarray:
    """int64 [N]: the readouts of the set "name/NFE"."""
    name, nfe = key.split("/")
    return stopped(kept["scores"][: kept["nfe"].tolist().index(int(nfe)) + 1], RULES[name])


def numbers(kept: Kept, key: str) -> dict[str, Found]:
    """KID and IS of one run at one budget."""
    chosen = chosen_of(kept, key)
    return {"KID": distance(kept, key), "IS": spread(kept["seen"][chosen, np.arange(len(chosen))])}


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
