"""A run from configuration to report: plan, search, evaluate, log. What is finished in the folder is not done again."""

import json
import logging
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from noise_search.errors import Refused
from noise_search.run.instantiate import build
from noise_search.run.named_parts import with_named_parts
from noise_search.run.plan import POPULATION, notes_of, plan_of, refuse_population, write_plan
from noise_search.run.plugins import versions_of
from noise_search.run.settings import GROUPS, Settings, read_settings, result_settings, sweep_name
from noise_search.storage.atomic import write_text
from noise_search.storage.run_folder import finished_ids, flatten, identity_of, is_complete, note

if TYPE_CHECKING:  # what they import is not needed for a plan
    from noise_search.report.loggers import Logger
    from noise_search.run.finish import Run
    from noise_search.run.parts import Parts

log = logging.getLogger("noise_search")


def run_job(cfg: DictConfig) -> None:
    """Everything that `python run.py` does; as a job of a sweep, the sweep's combined curve too."""
    hydra_cfg = HydraConfig.get()
    folder, choices = Path(hydra_cfg.runtime.output_dir), {name: hydra_cfg.runtime.choices[name] for name in GROUPS}
    if hydra_cfg.mode != RunMode.MULTIRUN or cfg.plan_only:
        make_run(cfg, folder, choices)
        return
    sweep = Path(hydra_cfg.sweep.dir) / sweep_name()
    note(folder, cfg.images, sweep)
    make_run(cfg, folder, choices, sweep.name)

    from noise_search.report.combined import combine

    combine(sweep)


def make_run(cfg: DictConfig, folder: Path, choices: dict[str, str], sweep: str | None = None) -> None:
    """One run into `folder`. Writes nothing if the configuration is refused."""
    try:
        settings = read_settings(cfg)
        cfg = with_named_parts(cfg, choices["verifier"])
        plan = plan_of(cfg, settings, choices)
        if cfg.verifier.get("_target_") == POPULATION:
            refuse_population(cfg, settings, plan)
        identity: dict[str, Any] = {"settings": result_settings(cfg), "conditions": build(cfg.dataset).digest}
        identity["plugins"] = versions_of(identity["settings"])
        refuse_other_settings(folder, identity)
        text = plan.text(settings.images, cfg.model.rows_per_second, notes_of(cfg))
        print(text, flush=True)
        if settings.plan_only:
            write_plan(plan, folder / "plan.csv")
            return
        folder.mkdir(parents=True, exist_ok=True)  # a refused worker may have removed what this one's Hydra had made
        if not os.access(folder, os.W_OK) and not is_complete(folder, settings.images, settings.axis):
            raise Refused(f"{folder} cannot be written: choose another hydra.run.dir")
        from noise_search.run.assemble import assemble

        logger = build(cfg.logger, sweep=sweep)
        parts = assemble(cfg, settings, plan)
        identity["weights"] = parts.weights
        refuse_other_settings(folder, identity)
    except BaseException:
        with suppress(OSError):  # only an empty folder goes
            folder.rmdir()
        raise
    if is_complete(folder, settings.images, settings.axis):
        print(f"{folder} is complete for {settings.images} images: nothing to do")
        return
    (folder / "run.json").unlink(missing_ok=True)
    write_text(folder / "identity.json", json.dumps(identity | {"choices": choices}, indent=2) + "\n")
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    write_plan(plan, folder / "plan.csv")
    start_log(folder, text)
    from noise_search.run.finish import Run

    make_and_finish(Run(folder, cfg, choices, parts, text), logger)


def make_and_finish(run: "Run", logger: "Logger") -> None:
    """Make what is missing, then everything that is made from it. A file found damaged on the way is made again."""
    from noise_search.run.finish import finish
    from noise_search.storage.units import Damaged

    settings = run.parts.settings
    while True:
        try:
            seconds = make_missing_images(run.parts, run.folder)
            if is_complete(run.folder, settings.images, settings.axis):
                log.info("another worker has found the run complete")
            else:
                finish(run, logger, seconds)
            return
        except Damaged as error:  # set aside, by this worker or by another
            log.warning("%s", error)


def opened(run: Path) -> tuple[DictConfig, Settings, dict[str, str]]:
    """The configuration of a run's folder, its settings, and the names of its groups; for the device of this machine.

    A run writes its configuration resolved: an interpolation in it, which could read the environment, is not its own.
    """
    path = run / "config.yaml"
    if not path.is_file():
        raise Refused(f"{run}: not the folder of a run (no config.yaml)")
    try:
        if "${" in path.read_text():
            raise Refused("it has an interpolation, which no run writes")
        cfg = OmegaConf.load(path)
        if not isinstance(cfg, DictConfig):
            raise Refused("it is not a mapping")
        cfg.device = "auto"
        return cfg, read_settings(cfg), identity_of(run)["choices"]
    except (ValueError, TypeError, KeyError, YAMLError, OmegaConfBaseException) as error:
        raise Refused(f"{path} or identity.json is not as this version writes it: {error}") from error


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


def make_missing_images(parts: "Parts", folder: Path) -> dict[str, float]:
    """Make the images that `folder` lacks; returns seconds by stage, and how many they were."""
    from noise_search.core.population import Population
    from noise_search.run.population import run_population
    from noise_search.run.search_units import make_units

    if isinstance(parts.verifier, Population):
        return run_population(parts, parts.verifier, folder)
    return make_units(parts, folder)
