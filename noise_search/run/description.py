"""A run as it was asked for: its configuration read once, every part made from its settings, the plan. Nothing is
loaded, and torch is not needed: what does not fit together is refused here, in one line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod
from typing import Any

from noise_search.core.algorithm import Algorithm, Independent, Leg, kept_latents
from noise_search.core.budget import Budget, Plan, make_plan
from noise_search.core.dataset import Dataset
from noise_search.core.draft import Draft, LeftOut
from noise_search.core.grid import Grid
from noise_search.core.guidance import Guidance
from noise_search.core.model import ModelSettings
from noise_search.core.observed import Observed
from noise_search.core.population import Population
from noise_search.core.rates import expected
from noise_search.core.source import Source
from noise_search.core.verifier import Verifier, require_contract
from noise_search.errors import Refused
from noise_search.measures.judge import JudgeSettings
from noise_search.measures.metric import MetricSettings
from noise_search.report.loggers import Logger
from noise_search.run.fit import refuse_misfits, refuse_population, verifiers_in
from noise_search.run.instantiate import build
from noise_search.run.kept_rates import latest
from noise_search.run.plugins import versions_of
from noise_search.run.settings import UNIT, Settings, read_settings, result_settings, settings_digest
from noise_search.run.workers import Worker, this_worker


@dataclass(frozen=True)
class Description:
    """config: all of the configuration, plain, the observers' and further metrics' in place of their names, as
    config.yaml holds it. choices: group -> the name of its choice. The parts are made, and not loaded. bought: the
    points that a budget of minutes has bought, once that is settled (`by_time.py`)."""

    config: Mapping[str, Any]
    choices: Mapping[str, str]
    settings: Settings
    worker: Worker
    model: ModelSettings
    dataset: Dataset
    verifier: Verifier
    algorithm: Algorithm
    draft: Draft
    budget: Budget
    judge: JudgeSettings
    more_metrics: Mapping[str, MetricSettings]
    logger: Logger
    plan: Plan
    bought: tuple[int, ...] | None = None

    @property
    def guidance(self) -> Guidance:
        return self.settings.guidance

    @property
    def left_out(self) -> LeftOut:
        """By the draft of a candidate."""
        return self.draft.left_out(self.budget.search_nfe, self.model, self.guidance)

    @property
    def title(self) -> str:
        c = self.choices
        search = "no search" if c["algorithm"] == "none" else f"{c['algorithm']} search"
        search += f" with {c['draft']} drafts" * (c["draft"] != "none")
        return f"{c['model']}: {search}, {c['verifier']} verifier, {self.guidance.name}"

    @property
    def identity(self) -> dict[str, Any]:
        """What can change a result, before anything is loaded: a folder belongs to one such."""
        settings = result_settings(self.config)
        own = {"settings": settings, "conditions": self.dataset.digest, "plugins": versions_of(settings)}
        return own if self.bought is None else own | {"points": list(self.bought)}

    @property
    def digest(self) -> str:
        return settings_digest(self.config)

    @cached_property
    def grids(self) -> list[Grid]:
        """Every grid of the run whose end is scored: those of the search, then of the final generations."""
        budget, algorithm = self.budget, self.algorithm
        finals = {p.nfe_final for p in self.plan.purchases} - {0}
        legs = [*algorithm.legs(budget.search_nfe, budget.final_nfe), *(Leg(nfe) for nfe in sorted(finals))]
        return [self.model.schedule(*leg, self.model.solver) for leg in legs]

    @property
    def columns(self) -> dict[str, Any]:
        """name -> configuration of every verifier that scores a candidate, the chooser's, or its members', first."""
        return columns_of(self.config, self.choices["verifier"])

    @property
    def keeps_bank(self) -> bool:
        """Does the run keep the scores of all candidates, for another verifier to choose among?"""
        plain = not isinstance(self.verifier, Population)
        return isinstance(self.algorithm, Independent) and plain and self.plan.sweep_search > 0

    @property
    def sources(self) -> list[Source]:
        """Where the files of all parts come from."""
        verifiers = [one for _, one in verifiers_in(self.verifier, self.choices["verifier"])]
        parts = (self.dataset, self.model, *verifiers, self.judge, *self.more_metrics.values())
        return [source for part in parts for source in getattr(part, "sources", ())]

    @cached_property
    def text(self) -> str:
        """The plan for a person."""
        notes = [str(self.guidance), *self.model.notes]
        if self.settings.batch_size != "auto":
            compiled = ", the network compiled" if self.settings.compile is True else ""
            notes.append(f"batches of {self.settings.batch_size} rows{compiled}")
        for level in sorted(set(self.verifier.needs)):
            knots = ", ".join(dict.fromkeys(f"{grid.times[grid.nearest(level)]:.3g}" for grid in self.grids))
            notes.append(f"view: clean predictions are taken at t = {knots} (nearest knots to {level:g}), at no cost")
        return self.plan.text(self.settings.images, self.expected, [*notes, self.memory])

    @property
    def memory(self) -> str:
        """What is held at once, as far as it is known before anything is loaded: the networks' weights, and latents."""
        known = {self.model.name: self.model.weight_bytes}
        known |= {name: one.weight_bytes for name, one in verifiers_in(self.verifier, self.choices["verifier"])}
        told = [f"{size / 1e9:.3g} GB of {name}" for name, size in known.items() if size is not None]
        told += [f"unknown of {', '.join(name for name, size in known.items() if size is None)}"] * (
            None in known.values()
        )
        count = 0
        if isinstance(self.algorithm, Independent) and not self.plan.purchases[-1].nfe_final:
            count = kept_latents(self.verifier, self.plan.purchases[-1].point)
        size = 4 * count * prod(self.model.shape)
        held = (
            f"; of {count} finished latents an image {size / 1e6:.3g} MB, of {UNIT} images {UNIT * size / 1e9:.3g} GB"
        )
        return f"memory: weights {', '.join(told)}{held * bool(count)}"

    @property
    def expected(self) -> str:
        """The time of the whole run, by what was last measured here of such parts, else by model.rows_per_second."""
        images, rates = self.settings.images, latest(self)
        if rates is None:
            return self.plan.network_time(images, self.model.rows_per_second)
        return expected(self.plan, images, rates, len(self.verifier.needs)).text(f"{rates.device}, earlier")


def columns_of(config: Mapping[str, Any], choice: str) -> dict[str, Any]:
    """As `Description.columns`; choice: the name of config["verifier"]."""
    verifier, observers = config["verifier"], config["observers"]
    members = verifier.get("members") if isinstance(verifier, Mapping) else None
    own = dict(members) if isinstance(members, Mapping) else {choice: verifier}
    return own | (dict(observers) if isinstance(observers, Mapping) else {})


def describe(
    config: Mapping[str, Any], choices: Mapping[str, str], sweep: str | None = None, made: bool = False
) -> Description:
    """Read a configuration; whatever is wrong with it is refused. sweep: the name of the multirun it belongs to. made:
    of a run that was begun before, whose parts were seen to fit then."""
    settings = read_settings(config)
    model: ModelSettings = build(config["model"], "model", ModelSettings)
    settings = replace(settings, guidance=replace(settings.guidance, distilled=model.distilled))
    dataset: Dataset = build(config["dataset"], "dataset", Dataset, seed=settings.seed)
    verifier: Verifier = build(config["verifier"], "verifier", Verifier)
    observers = {name: build(node, f"observers.{name}", Verifier) for name, node in config["observers"].items()}
    for choice, part in {choices["verifier"]: verifier, **observers}.items():
        for name, one in verifiers_in(part, choice):
            one.name = one.name or name
            require_contract(one)
    algorithm: Algorithm = build(config["algorithm"], "algorithm", Algorithm)
    draft: Draft = build(config["draft"], "draft", Draft)
    budget: Budget = build(config["budget"], "budget", Budget)
    c, final = budget.search_nfe, budget.final_nfe
    draft.refuse(model, verifier, algorithm, settings.guidance, c, final)
    algorithm, budget = draft.beside(algorithm), budget.with_search_nfe(draft.evaluations(c, model))
    judge: JudgeSettings = build(config["metrics"], "metrics", JudgeSettings)
    metrics = config["more_metrics"].items()
    more = {name: build(node, f"more_metrics.{name}", MetricSettings) for name, node in metrics}
    logger: Logger = build(config["logger"], "logger", Logger, sweep=sweep)
    drafts = f"/draft={choices['draft']}" * (choices["draft"] != "none")
    series = f"{choices['model']}/{choices['algorithm']}/{choices['verifier']}/cfg={settings.cfg_scale:g}{drafts}"
    left_out = draft.left_out(budget.search_nfe, model, settings.guidance)
    plan = make_plan(series, algorithm, budget, settings.guidance.rows, model.multiply_adds, left_out)
    worker = this_worker(settings.rank, settings.world)
    if isinstance(verifier, Population) and not made:
        refuse_population(choices["verifier"], verifier, algorithm, plan, worker, observers, draft)
    elif observers:
        verifier = Observed(verifier, observers)
    parts = (model, dataset, verifier, algorithm, draft, budget, judge, more, logger)
    described = Description(config, choices, settings, worker, *parts, plan)
    if not made:
        checked = (model, dataset, verifier, algorithm, settings.guidance)
        refuse_misfits(*checked, judge, list(more.values()), choices["verifier"])
        if judge.export_npz and not settings.keep_images:
            raise Refused("metrics.export_npz=true: with keep_images=true only, or there is nothing to export")
        described.grids, described.text  # noqa: B018 (refuse NFE that have no grid, a view at an end of one)
    return described
