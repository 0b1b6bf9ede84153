"""What a configuration asks for, told before anything heavy is imported: its plan, its verifiers, their views."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from noise_search.algorithms.random import Random
from noise_search.core.algorithm import Leg
from noise_search.core.budget import Plan, make_plan
from noise_search.core.grid import SOLVERS, Grid, make_grid
from noise_search.errors import Refused
from noise_search.run.instantiate import build, refuse_unknown
from noise_search.run.settings import Settings
from noise_search.run.workers import this_worker
from noise_search.storage.atomic import write_text

POPULATION = "noise_search.verifiers.oracle_fid.OracleFID"  # a name: the module imports torch


def plan_of(cfg: DictConfig, settings: Settings, choices: dict[str, str]) -> Plan:
    """The plan, from the configuration alone: nothing heavy is imported."""
    series = f"{choices['model']}/{choices['algorithm']}/{choices['verifier']}/cfg={settings.cfg_scale:g}"
    if cfg.model.solver not in SOLVERS:
        raise Refused(f"model.solver={cfg.model.solver}: {' or '.join(SOLVERS)}")
    rate = cfg.model.rows_per_second
    if not isinstance(rate, int | float) or not rate > 0:
        raise Refused(f"model.rows_per_second={rate}: a number above 0")
    for name in ("dataset", "algorithm", "budget", "logger"):  # the other groups' modules import torch
        refuse_unknown(cfg[name], name)
    build(cfg.dataset)  # refuses a class id that is out of range
    rows, multiply_adds = settings.guidance.rows, cfg.model.multiply_adds
    plan = make_plan(series, build(cfg.algorithm), build(cfg.budget), rows, multiply_adds)
    grids_of(cfg)  # refuses a spacing that does not fit
    return plan


def grids_of(cfg: DictConfig) -> list[Grid]:
    """Every grid of the run whose end is scored: those of the search, then of the final generations."""
    algorithm, budget = build(cfg.algorithm), build(cfg.budget)
    finals = {budget.cost(algorithm, point).final for point in budget.bought(algorithm)} - {0}
    legs = [*algorithm.legs(budget.search_nfe, budget.final_nfe), *(Leg(nfe) for nfe in sorted(finals))]
    spacing = cfg.model.get("spacing", "uniform")
    return [make_grid(leg.nfe, leg.start, leg.end, cfg.model.solver, spacing) for leg in legs]


def refuse_population(cfg: DictConfig, settings: Settings, plan: Plan) -> None:
    """What a verifier that looks at the whole set cannot do."""
    algorithm, world = build(cfg.algorithm), this_worker(settings.rank, settings.world).world
    if not isinstance(algorithm, Random):
        raise Refused(f"verifier=oracle_fid: with algorithm=random only, not {algorithm.name}")
    if world > 1:
        raise Refused(f"verifier=oracle_fid: one worker only, not world={world}: groups follow one another")
    if plan.purchases[0].point < 1 or not plan.sweep_search:
        raise Refused("verifier=oracle_fid: budget points from N = 1 on, at least one above 1")
    if cfg.observers:
        raise Refused("observers: not beside verifier=oracle_fid, whose candidates' features are not kept")


def columns_of(cfg: DictConfig, choice: str) -> dict[str, Any]:
    """The configuration of every verifier that scores a candidate, the chooser's (or its members') first, by name."""
    nodes = dict(cfg.verifier.members) if "members" in cfg.verifier else {choice: cfg.verifier}
    return nodes | (dict(cfg.observers) if OmegaConf.is_dict(cfg.observers) else {})


def views_of(node: Any) -> list[float]:
    """The noise levels whose clean predictions the verifiers inside a configuration compare with."""
    if not OmegaConf.is_dict(node):
        return []
    own = [float(node.view)] if "view" in node else []
    return own + [level for part in node.values() for level in views_of(part)]


def notes_of(cfg: DictConfig) -> list[str]:
    """The knots that self-supervised verifiers are shown, for the plan; an end of a grid is refused."""
    grids, out = grids_of(cfg), []
    for level in sorted({v for node in (cfg.verifier, cfg.observers) for v in views_of(node)}):
        knots = ", ".join(dict.fromkeys(f"{grid.times[grid.nearest(level)]:.3g}" for grid in grids))
        out.append(f"view: clean predictions are taken at t = {knots} (nearest knots to {level:g}), at no cost")
    return out


def write_plan(plan: Plan, path: Path) -> None:
    """plan.csv: one row a budget."""
    names = ("point", "nfe", "nfe_paper", "network_rows")
    rows = [("series", *names), *((plan.series, *(getattr(p, name) for name in names)) for p in plan.purchases)]
    write_text(path, "".join(",".join(map(str, row)) + "\n" for row in rows))
