"""The combined curve of a sweep: every job that has finished, one series a setting, seeds put together."""

import csv
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from noise_search.errors import Refused
from noise_search.measures.metric import Metric
from noise_search.report.figures import axes_of, blank, save, unknown
from noise_search.storage.curve_csv import COLUMNS, write_csv
from noise_search.storage.run_folder import finished_record, flatten, identity_of, noted

Rows = list[dict[str, Any]]
Curves = dict[str, tuple[list[float], list[list[float]]]]


def combine(sweep: Path) -> None:
    """Combine all runs of a sweep that are noted and finished, as soon as there are two."""
    folders = [folder for folder in noted(sweep) if (folder / "run.json").is_file()]
    if len(folders) > 1:
        combine_runs(folders, sweep)


def combine_runs(folders: list[Path], into: Path, axis: str | None = None) -> None:
    """Write into/curve.csv, one row per (run, budget, metric), and into/figures/ from finished runs. axis: of the
    figures; None: that of the first run."""
    records = [finished_record(folder) for folder in folders]
    rows: Rows = []
    for folder, name in zip(folders, series_names(folders, records), strict=True):
        with (folder / "curve.csv").open() as file:
            rows += [{"series": name, "draft": "none", **row} for row in csv.DictReader(file)]  # older: no drafts
    write_csv(into / "curve.csv", rows, ("series", *COLUMNS))
    axis = axis or records[0]["axis"]
    if axis == "seconds":
        refuse_other_devices(rows)
    metrics, known = metrics_of(records), [row for row in rows if row["value"]]
    for name in dict.fromkeys(row["metric"] for row in known):
        chosen = [row for row in known if row["metric"] == name]
        draw(into / "figures", metrics.get(name) or unknown(name), chosen, axis)


def refuse_other_devices(rows: Rows) -> None:
    """Seconds are compared on one device only."""
    devices = sorted({row.get("device") or "a device that is not known" for row in rows})
    if len(devices) > 1:
        raise Refused(f"axis=seconds: these runs were made on {'; '.join(devices)}: a curve is of one device")
    if not all(row.get("seconds") for row in rows):
        raise Refused("axis=seconds: not every run knows its seconds (curve.csv says which); use axis=nfe")


def metrics_of(records: Sequence[Mapping[str, Any]]) -> dict[str, Metric]:
    """The metrics of finished runs by name, as they told them in run.json; the first run that tells one is heard."""
    out: dict[str, Metric] = {}
    for record in records:
        out = {name: Metric(name, **words) for name, words in record["metrics"].items()} | out
    return out


def series_names(folders: Sequence[Path], records: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name a run, made of the choices and settings, seeds excepted, in which the runs differ."""
    described = []
    for folder, record in zip(folders, records, strict=True):
        settings = flatten(identity_of(folder)["settings"])
        del settings["seed"]
        for group in ("observers", "more_metrics"):  # by their names, which say all
            keys = [key for key in settings if key.startswith(f"{group}.")]
            settings[group] = "+".join({key.split(".")[1]: settings.pop(key) for key in keys}) or "none"
        choices = {"draft": "none"} | record["choices"]  # not said by runs that are older than drafts
        described.append((choices, settings | {"n": record["images"]}))
    groups = [g for g in described[0][0] if len({choices[g] for choices, _ in described}) > 1]
    names = []
    for choices, settings in described:
        alike = [s for c, s in described if all(c[g] == choices[g] for g in groups)]
        keys = [key for key in settings if len({str(s.get(key)) for s in alike}) > 1]
        words = [choices[g] for g in groups] + [f"{key.split('.')[-1]}={settings[key]}" for key in keys]
        names.append(", ".join(words) or "all runs")
    return names


def number(cell: str) -> float:
    """NFE are whole, seconds are not."""
    return int(cell) if cell.isdigit() else float(cell)


def at_point(found: list[tuple[float, float]]) -> tuple[float, list[float]]:
    """(spent, value) of each seed at one point -> what that point costs, on average where seeds differ, and values."""
    spent, values = zip(*found, strict=True)
    return (spent[0] if len(set(spent)) == 1 else float(np.mean(spent))), list(values)


def curves_of(rows: Rows, axis: str) -> Curves:
    """Rows of one metric -> series -> what its points cost, growing, and the values of the seeds at each."""
    values: dict[str, dict[int, list[tuple[float, float]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:  # one a seed
        values[row["series"]][int(row["point"])].append((number(row[axis]), float(row["value"])))
    found = {name: sorted(map(at_point, by_point.values())) for name, by_point in values.items()}
    return {name: ([x for x, _ in points], [each for _, each in points]) for name, points in found.items()}


def combined_curves(folder: Path, axis: str) -> dict[str, Curves]:
    """metric -> the curves of a folder's combined curve.csv."""
    with (folder / "curve.csv").open() as file:
        known = [row for row in csv.DictReader(file) if row["value"]]
    names = dict.fromkeys(row["metric"] for row in known)
    return {name: curves_of([row for row in known if row["metric"] == name], axis) for name in names}


def draw(folder: Path, metric: Metric, rows: Rows, axis: str) -> None:
    """One metric: the mean over seeds of every series, and the range from the lowest to the highest seed."""
    figure = blank(5.6, 3.8)
    axes = figure.subplots()
    everywhere = set[float]()
    for name, (spent, each) in curves_of(rows, axis).items():
        everywhere |= set(spent)
        seeds = max(map(len, each))
        (line,) = axes.plot(spent, [np.mean(found) for found in each], "o-", ms=4, label=name)
        if seeds > 1:
            low, high = ([bound(found) for found in each] for bound in (min, max))
            axes.fill_between(spent, low, high, color=line.get_color(), alpha=0.15, lw=0)
            line.set_label(f"{name} ({seeds} seeds)")
    networks = " and ".join(dict.fromkeys(row["network"] for row in rows))
    row = {**rows[0], "n_images": int(rows[0]["n_images"]), "network": networks}
    axes_of(axes, metric, row, sorted(everywhere), axis)
    note = ", ".join(sorted({f"{r['model']}, {r['verifier']} verifier, CFG {float(r['cfg_scale']):g}" for r in rows}))
    note = note if len(note) < 100 else rows[0]["model"]
    note += f", seeds {', '.join(sorted({r['seed'] for r in rows}, key=int))}"
    if rows[0]["reference"]:
        note += f"; reference: {rows[0]['reference']}"
    figure.supxlabel(note, fontsize=7, color="#555555")
    save(figure, folder, metric.name)
