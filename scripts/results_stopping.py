"""What does not turn: first-order search, plain and under other verifiers, from finished runs to docs/results/stopping

    python scripts/results_stopping.py plain=RUN stopped=RUN [out=docs/results/stopping]

Of every run and budget it keeps what KID and IS come from (sums of the kernel over pairs of groups, probabilities of
the judge's probe), so that every number is made again from kept.npz, without a network. The images are those that all
runs have; the first run is what the others are compared with.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from noise_search.measures.pairs import Between, Within, between, group_cuts, within
from noise_search.measures.scores import GROUPS, half_width, inception_score, kernel_distance_of
from noise_search.report.comparison import markdown
from noise_search.report.figures import blank, save
from noise_search.run.evaluate import measured
from noise_search.storage.atomic import write_text
from noise_search.storage.run_folder import finished_record

Kept = dict[str, np.ndarray]


def kept_of(folders: dict[str, Path]) -> Kept:
    """name/NFE/... -> arrays, of the images that all runs have."""
    from noise_search.metrics.lite2 import Lite2, reference_features

    judge = Lite2().load("cpu")  # the one of the runs: their features are compared with its own of real images
    real = within(reference_features(judge.features, judge.identity, "cpu"))
    images = min(int(finished_record(folder)["images"]) for folder in folders.values())
    out: Kept = {"real": real.sums, "images": np.array([images, len(real.rows)])}
    for name, folder in folders.items():
        for point in sorted({int(p) for p in points_of(folder)}):
            rows = measured(folder, images, point)
            x = within(rows.features, groups=GROUPS, origin=real.origin)
            key = f"{name}/{int(rows.nfe[0])}"
            out |= {f"{key}/own": x.sums, f"{key}/cross": between(x, real).sums}
            out |= {f"{key}/seen": judge.probabilities(rows.features).astype(np.float32)}
            out |= {f"{key}/scores": rows.scores_final[:, :2].astype(np.float32)}
    return out


def points_of(folder: Path) -> list[str]:
    lines = (folder / "plan.csv").read_text().splitlines()
    return [line.split(",")[1] for line in lines[1:]]


def numbers(kept: Kept, key: str) -> dict[str, tuple[float, np.ndarray]]:
    """KID and IS of one run at one budget: the number, and float64 [10] without each group."""
    n, m = (int(count) for count in kept["images"])
    none, side = np.empty((0, 0)), 1
    x = Within(np.empty((n, 0)), none, none, none, kept[f"{key}/own"], none, side)
    y = Within(np.empty((m, 0)), none, none, none, kept["real"], none, side)
    kid = kernel_distance_of(x, y, Between(kept[f"{key}/cross"], none, none))
    score = inception_score(kept[f"{key}/seen"], groups=GROUPS)
    assert np.diff(group_cuts(n, GROUPS)).sum() == n
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
            scores = kept[f"{name}/{nfe}/scores"].mean(0)
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
        for nfe, *at in zip(budgets, x, y, strict=True):
            axes.annotate(str(nfe), at, (4, 4), textcoords="offset points", fontsize=7, color=line.get_color())
    axes.set_xlabel("IS (Lite2 probe)")
    axes.set_ylabel("KID (Lite2)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    save(figure, into, "turn", ("svg",))


def main() -> None:
    options = dict(argument.split("=", 1) for argument in sys.argv[1:])
    out = Path(options.pop("out", "docs/results/stopping"))
    kept = kept_of({name: Path(folder) for name, folder in options.items()})
    out.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(out / "kept.npz", **kept)
    draw(kept, out)
    for name, text in page(kept).items():
        write_text(out / f"{name}.md", text + "\n")
        print(text, flush=True)


if __name__ == "__main__":
    main()
