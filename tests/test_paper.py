"""Every figure and table of the paper as an experiment: its axis and its header's cost, from the plan alone."""

import itertools
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from noise_search.report.paper import FIGURES
from noise_search.report.published import published
from noise_search.run.description import Description
from tests.test_configs import CONFIGS, described

TEXT = {  # of text-to-image -> its largest total an image, by algorithm
    "fig8": {"random": 2880},
    "fig9": {"random": 3840},
    "table1": {"random": 1920},
    "table2": {"random": 2880, "zo": 2880, "paths": 2850},
    "table3": {"random": 1280},
    "table4": {"random": 2880},
}
PAPER = sorted(path.stem for path in (CONFIGS / "experiment/paper").glob("*.yaml") if path.stem not in TEXT)


def jobs(name: str) -> list[Description]:
    """The runs that `run.py -m experiment=paper/NAME` makes."""
    sweep = (OmegaConf.load(CONFIGS / f"experiment/paper/{name}.yaml").get("hydra") or {}).get("sweeper", {})
    sweep = dict(sweep.get("params") or {})
    out = []
    for values in itertools.product(*(re.split(r",(?![^{]*})", str(choices)) for choices in sweep.values())):
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
    """Of every digitised class-conditional point (figures 12 and 14 have none)."""
    planned = {}
    for name in PAPER:
        for run in jobs(name):
            chosen = (run.choices[group] for group in ("model", "algorithm", "verifier"))
            key = (name.split("_")[0], *chosen, float(run.settings.cfg_scale))
            planned[*key, run.budget.search_nfe] = {p.nfe_paper for p in run.plan.purchases}
    points = [(name, point) for name in FIGURES for point in published(name) if point.part["model"] != "flux_dev"]
    assert len({name for name, _ in points}) == 8
    for name, point in points:
        setting = point.setting["cfg_scale"], point.setting["search_nfe"]
        key = (f"fig{name}", *(point.part[group] for group in ("model", "algorithm", "verifier")), *setting)
        assert int(point.x["nfe_paper"]) in planned[key], point


@pytest.mark.parametrize("name", TEXT)
def test_text_to_image_is_planned_at_the_published_totals(name: str) -> None:
    """Random search exactly, c N; the others the most at or under them. The header tells command and NFE."""
    header = (CONFIGS / f"experiment/paper/{name}.yaml").read_text().split("defaults:")[0]
    runs, total = jobs(name), 0
    for run in runs:
        budget, last, algorithm = run.budget, run.plan.purchases[-1], run.choices["algorithm"]
        assert last.nfe == TEXT[name][algorithm] and budget.search_nfe == budget.final_nfe
        if algorithm == "random":
            assert last.nfe == last.nfe_paper == last.point * budget.search_nfe and last.nfe_final == 0
        assert run.budget.total(run.algorithm, last.point + 1) > max(TEXT[name].values())
        assert run.settings.images == 2 * 1800 if name == "table1" else run.settings.images == 200
        assert run.settings.axis == "nfe_paper" and run.settings.keep_images
        total += run.plan.rows(run.settings.images)[1] // run.plan.each
    count = "1 run" if len(runs) == 1 else f"{len(runs)} runs"
    assert f"experiment=paper/{name}" in header
    assert f"# Cost: {count} of {runs[0].settings.images:,} images, {total / 1e6:.3g} million NFE; hours" in header


def test_a_plan_of_table_2_is_quick_and_wants_no_file(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "noise_search", "experiment=paper/table2", "plan_only=true"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)  # processor time: others may be at work on the machine
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3
    assert "2880  (2880 + 0)" in done.stdout and "expected: " in done.stdout
    assert "memory: weights " in done.stdout and "of 96 finished latents an image" in done.stdout


def test_runs_of_two_models_are_not_one_curve() -> None:
    """Where a panel does not vary the model, its twin shows the model that most runs are of."""
    from noise_search.report.paper_points import alike
    from noise_search.report.published import Point

    def point(model: str, value: float) -> Point:
        return Point({"algorithm": "random"}, {}, "IS", {"nfe": 20.0}, value, 0, 100, 1, {"model": model})

    points = [point("large", 3.3), point("large", 3.5), point("small", 2.8)]
    assert {p.value for p in alike(points, {})} == {3.3, 3.5}
    assert {p.value for p in alike(points, {}, "model")} == {3.3, 3.5, 2.8}
