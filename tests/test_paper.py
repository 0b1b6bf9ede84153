"""Every class-conditional figure of the paper as an experiment: its axis and its header's cost, from the plan alone."""

import csv
import itertools
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from noise_search.run.description import Description
from tests.test_configs import CONFIGS, described

PAPER = sorted(path.stem for path in (CONFIGS / "experiment/paper").glob("*.yaml"))
PUBLISHED = Path(__file__).parent / "paper_axes.csv"  # figure, model, algorithm, verifier, cfg_scale, c, nfe


def jobs(name: str) -> list[Description]:
    """The runs that `run.py -m experiment=paper/NAME` makes."""
    sweep = (OmegaConf.load(CONFIGS / f"experiment/paper/{name}.yaml").get("hydra") or {}).get("sweeper", {})
    sweep = dict(sweep.get("params") or {})
    out = []
    for values in itertools.product(*(str(choices).split(",") for choices in sweep.values())):
        named = ("metrics.label_map=FILE",) if name == "fig3" else ()  # as its header says
        chosen = (f"{k}={v}" for k, v in zip(sweep, values, strict=True))
        out.append(described(f"experiment=paper/{name}", *named, *chosen))
    return out


def cost(name: str) -> str:
    """The line of the header that says what the whole figure costs."""
    nfe, flops, hours, runs = [0, 0], [0.0, 0.0], [0.0, 0.0], jobs(name)
    for run in runs:
        images, plan, model = run.settings.images, run.plan, run.model
        assert model.multiply_adds is not None and model.rows_per_second is not None
        backward = 3 * images * plan.each * plan.sweep_backward
        for end, rows in enumerate(plan.rows(images)):
            nfe[end] += rows // plan.each
            flops[end] += (rows + backward) * 2 * model.multiply_adds
            hours[end] += (rows + backward) / model.rows_per_second / 3600
    runs_text = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    return (
        f"# Cost: {runs_text} of 50,000 images, {nfe[0] / 1e9:.3g} to {nfe[1] / 1e9:.3g} billion NFE,"
        f" {flops[0]:.2g} to {flops[1]:.2g} FLOPs, {hours[0]:,.0f} to {hours[1]:,.0f} GPU hours (rows_per_second)."
    )


@pytest.mark.parametrize("name", PAPER)
def test_the_header_tells_command_and_cost(name: str) -> None:
    header = (CONFIGS / f"experiment/paper/{name}.yaml").read_text().split("defaults:")[0]
    assert f"experiment=paper/{name}" in header
    assert cost(name) in header.splitlines()
    for run in jobs(name):
        assert run.settings.images == 50_000 and run.settings.axis == "nfe_paper" and run.budget.final_nfe == 250


def test_every_published_point_is_on_the_planned_axis() -> None:
    """tests/paper_axes.csv holds the x of every digitised class-conditional point (figures 12 and 14 have none)."""
    planned = {}
    for name in PAPER:
        for run in jobs(name):
            chosen = (run.choices[group] for group in ("model", "algorithm", "verifier"))
            key = (name.split("_")[0], *chosen, float(run.settings.cfg_scale))
            planned[*key, run.budget.search_nfe] = {p.nfe_paper for p in run.plan.purchases}
    with PUBLISHED.open() as file:
        rows = list(csv.DictReader(file))
    assert len({row["figure"] for row in rows}) == 8
    for row in rows:
        key = (row["figure"], row["model"], row["algorithm"], row["verifier"], float(row["cfg_scale"]), int(row["c"]))
        assert int(row["nfe"]) in planned[key], row
