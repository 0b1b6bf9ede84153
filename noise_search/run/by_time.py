"""Runs whose budget is minutes: what these buy is settled once, at the first start, and kept in the run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from noise_search.core.budget import Budget, Plan, make_plan
from noise_search.core.checks import whole
from noise_search.core.rates import Rates, expected
from noise_search.core.time_budget import TimeBudget
from noise_search.errors import Refused
from noise_search.run.description import Description
from noise_search.run.kept_rates import latest
from noise_search.storage.run_folder import identity_of

FAST = 1e30  # a second, of what is not known and left out


def settled(run: Description, points: Sequence[int]) -> Description:
    """The run with the points that its minutes have bought."""
    budget = Budget(run.budget.search_nfe, run.budget.final_nfe, points=tuple(points))
    done = replace(run, budget=budget, plan=plan_of(run, budget), bought=tuple(points))
    done.grids, done.text  # noqa: B018 (as in `describe`)
    return done


def plan_of(run: Description, budget: Budget) -> Plan:
    return make_plan(run.plan.series, run.algorithm, budget, run.plan.each, run.model.multiply_adds, run.left_out)


def bought(run: Description, rates: Rates) -> Description:
    """The run with what its minutes buy at these rates, its images shared by its workers."""
    assert isinstance(run.budget, TimeBudget)
    images = -(-run.settings.images // run.worker.world)

    def seconds(budget: Budget) -> float:
        return expected(plan_of(run, budget), images, rates, len(run.verifier.needs)).most

    return settled(run, run.budget.buys(run.algorithm, seconds).points or ())


def planned(run: Description) -> Description:
    """The same for a plan, by a rate that is known without loading anything."""
    assert isinstance(run.budget, TimeBudget)
    if rates := latest(run):
        return bought(run, rates)
    if run.model.rows_per_second is None:
        how = "give model.rows_per_second, or start the run: it measures this machine first"
        raise Refused(f"budget.minutes={run.budget.minutes}: what they buy here is not known yet; {how}")
    return bought(run, Rates("model.rows_per_second", run.model.rows_per_second, FAST, FAST, FAST))


def points_of(folder: Path) -> list[int]:
    """What the minutes of the run in `folder` have bought; empty where nothing has been begun there."""
    points = identity_of(folder).get("points", [])
    if not isinstance(points, list) or not all(map(whole, points)):
        raise Refused(f"{folder / 'identity.json'} is not as this version writes it: its points are {points}")
    return points
