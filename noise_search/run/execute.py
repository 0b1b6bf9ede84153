"""A run from its description to the report: search, evaluate, log. What is finished in the folder is not done again."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noise_search.core.budget import Plan
from noise_search.core.population import Population
from noise_search.core.rates import expected
from noise_search.core.time_budget import TimeBudget
from noise_search.errors import Refused
from noise_search.report.loggers import Logger
from noise_search.run.by_time import bought, planned, points_of, settled
from noise_search.run.description import Description, describe
from noise_search.storage.atomic import write_first, write_text
from noise_search.storage.run_folder import (
    finished_ids,
    flatten,
    identity_of,
    is_complete,
    missing_ids,
    note,
    write_config,
)

if TYPE_CHECKING:  # what they import is not needed for a plan
    from noise_search.run.parts import Parts
    from noise_search.run.progress import Work

log = logging.getLogger("noise_search")


def run_job(config: Mapping[str, Any], choices: Mapping[str, str], folder: Path, sweep: Path | None = None) -> None:
    """Everything that `python run.py` does; as a job of the sweep in the folder `sweep`, its combined curve too."""
    if sweep is None:
        make_run(describe(config, choices), folder)
        return
    described = describe(config, choices, sweep.name)
    note(folder, described.settings.images, sweep)
    make_run(described, folder)

    from noise_search.report.combined import combine

    combine(sweep)


@contextmanager
def removed_if_refused(folder: Path) -> Iterator[None]:
    """Nothing is left of a run that is refused: Hydra has made its folder before; only an empty one goes."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            folder.rmdir()
        raise


def make_run(run: Description, folder: Path) -> None:
    """One run into `folder`. Writes nothing if it is refused."""
    if not run.settings.plan_only or identity_of(folder):  # a plan alone wants no file of prompts
        refuse_other_settings(folder, run.identity)
    run = as_begun(run, folder)
    settings, unsettled = run.settings, isinstance(run.budget, TimeBudget)
    print("plan: made when this machine has been measured" if unsettled else run.text, flush=True)
    if settings.plan_only:
        write_plan(run.plan, folder / "plan.csv")
        return
    folder.mkdir(parents=True, exist_ok=True)  # a refused worker may have removed what this one's Hydra had made
    if not os.access(folder, os.W_OK) and not is_complete(folder, settings.images, settings.axis):
        raise Refused(f"{folder} cannot be written: choose another hydra.run.dir")
    from noise_search.run.assemble import assemble
    from noise_search.run.calibrate import calibrated

    parts = assemble(run)
    refuse_other_settings(folder, identity_of_parts(parts))
    if is_complete(folder, settings.images, settings.axis):
        print(f"{folder} is complete for {settings.images} images: nothing to do")
        return
    missing = len(missing_ids(folder, settings.images))
    rates = calibrated(parts) if missing else None
    if unsettled and rates:
        parts = replace(parts, run=bought(run, rates))
    parts = begin_folder(parts, folder, identity_of_parts(parts))
    if unsettled:
        print(parts.run.text, flush=True)
    start_log(folder, parts.run.text)
    if settings.batch_size == "auto" or (settings.compile == "auto" and parts.tuning.compile):  # the plan did not know
        log.info("batches of %d rows%s", parts.batch_size, ", the network compiled" if parts.tuning.compile else "")
    if settings.precision == "auto":
        log.info("precision=%s", parts.tuning.precision)
    if rates:
        log.info(expected(parts.run.plan, missing, rates, len(parts.verifier.needs)).text(rates.device))
    make_and_finish(parts, folder, run.logger)


def as_begun(run: Description, folder: Path) -> Description:
    """A run that goes on as the first worker of `folder` began it, where its settings leave that open; where nobody
    has, minutes of a budget buy what a plan expects of them."""
    tuning = identity_of(folder).get("tuning", {})
    known = {name: value for name, value in tuning.items() if getattr(run.settings, name) == "auto"}
    run = replace(run, settings=replace(run.settings, **known))
    if not isinstance(run.budget, TimeBudget):
        return run
    if points := points_of(folder):
        return settled(run, points)
    return planned(run) if run.settings.plan_only else run


def identity_of_parts(parts: Parts) -> dict[str, Any]:
    """What a folder belongs to one of."""
    return parts.run.identity | {"weights": parts.weights, "tuning": parts.tuning._asdict()}


def begin_folder(parts: Parts, folder: Path, identity: dict[str, Any]) -> Parts:
    """What a folder says of its run from the start. Returns the parts as its first worker has them."""
    from noise_search.run.parts import Tuning
    from noise_search.run.tuning import obey

    (folder / "run.json").unlink(missing_ok=True)
    text = json.dumps(identity | {"choices": parts.run.choices}, indent=2) + "\n"
    begun = json.loads(write_first(folder / "identity.json", text))
    tuning = Tuning(**begun["tuning"])
    if tuning.precision != parts.tuning.precision:  # the networks are loaded in another; the next start obeys
        raise Refused(f"{folder}: another worker has just begun it in {tuning.precision}; start this one again")
    parts = replace(parts, tuning=tuning)
    obey(parts, parts.tuning)
    if parts.run.bought:
        parts = replace(parts, run=settled(parts.run, begun["points"]))
    write_config(folder, parts.run.config)
    write_plan(parts.run.plan, folder / "plan.csv")
    return parts


def make_and_finish(parts: Parts, folder: Path, logger: Logger, taken: Mapping[str, float] | None = None) -> None:
    """Make what is missing, then everything that is made from it. A file found damaged on the way is made again.
    taken: seconds by stage that making the images took before."""
    from noise_search.run.finish import finish
    from noise_search.storage.checked import Damaged

    settings = parts.run.settings
    while True:
        try:
            work = make_missing_images(parts, folder)
            if is_complete(folder, settings.images, settings.axis):
                log.info("another worker has found the run complete")
            else:
                work.took(taken or {})
                finish(parts, folder, logger, work)
            shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # of groups that others have finished
            return
        except Damaged as error:  # set aside, by this worker or by another
            log.warning("%s", error)


def make_missing_images(parts: Parts, folder: Path) -> Work:
    """Make the images that `folder` lacks."""
    from noise_search.run.population import run_population
    from noise_search.run.search_units import make_units

    try:
        if isinstance(parts.verifier, Population):
            return run_population(parts, parts.verifier, folder)
        return make_units(parts, folder)
    finally:
        for line in parts.verifier.told():
            log.info(line)


def refuse_other_settings(folder: Path, identity: dict[str, Any]) -> None:
    """A folder belongs to one set of result settings and one set of weights."""
    known = identity_of(folder)
    if not known:
        if finished_ids(folder):
            raise Refused(f"{folder} holds results, but no identity.json says of what: choose another hydra.run.dir")
        return
    stored, asked = flatten({part: known.get(part) for part in identity}), flatten(identity)
    keys = [key for key in stored | asked if stored.get(key) != asked.get(key)]
    if keys:
        differences = "; ".join(f"{key}={stored.get(key)}, not {asked.get(key)}" for key in keys)
        raise Refused(f"{folder} holds results of {differences}: choose another hydra.run.dir")


def write_plan(plan: Plan, path: Path) -> None:
    """plan.csv: one row a budget."""
    names = ("point", "nfe", "nfe_paper", "network_rows")
    rows = [("series", *names), *((plan.series, *(getattr(p, name) for name in names)) for p in plan.purchases)]
    write_text(path, "".join(",".join(map(str, row)) + "\n" for row in rows))


def start_log(folder: Path, text: str) -> None:
    """Messages go to folder/run.log and to standard output."""
    for handler in list(log.handlers):
        handler.close()
        log.removeHandler(handler)
    log.setLevel(logging.INFO)
    handlers = (logging.FileHandler(folder / "run.log"), logging.StreamHandler(sys.stdout))
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
        log.addHandler(handler)
    handlers[0].emit(log.makeRecord(log.name, logging.INFO, "", 0, text, (), None))
