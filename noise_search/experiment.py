"""A run from configuration to report: plan, search, evaluate, log. What is finished in the folder is not done again."""

import json
import logging
import os
import platform
import sys
import time
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from noise_search.budget import Plan, make_plan
from noise_search.build import build
from noise_search.cli import explain
from noise_search.files import write_text
from noise_search.grid import uniform_grid
from noise_search.settings import (
    GROUPS,
    SHOWN,
    SOLVERS,
    Settings,
    flatten,
    read_settings,
    result_settings,
    settings_digest,
    sweep_name,
)
from noise_search.sweeps import note

if TYPE_CHECKING:
    from noise_search.runner import Parts

log = logging.getLogger("noise_search")
BILLED = ("image_id", "point", "candidate", "nfe_final", *("spent_nfe", "spent_rows", "spent_scored", "spent_decoded"))
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "hydra-core", "wandb", "pyarrow")


def run_experiment(cfg: DictConfig) -> None:
    """Everything that `python run.py` does; as a job of a sweep, the sweep's combined curve too."""
    hydra_cfg = HydraConfig.get()
    folder, choices = Path(hydra_cfg.runtime.output_dir), {name: hydra_cfg.runtime.choices[name] for name in GROUPS}
    if hydra_cfg.mode != RunMode.MULTIRUN or cfg.plan_only:
        run_one(cfg, folder, choices)
        return
    sweep = Path(hydra_cfg.sweep.dir) / sweep_name()
    note(folder, sweep)
    run_one(cfg, folder, choices, sweep.name)

    from noise_search.report.combined import combine

    combine(sweep)


def run_one(cfg: DictConfig, folder: Path, choices: dict[str, str], sweep: str | None = None) -> None:
    """One run into `folder`. Writes nothing if the configuration is refused."""
    try:
        settings = read_settings(cfg)
        cfg = with_observers(cfg, choices["verifier"])
        plan = plan_of(cfg, settings, choices)
        identity: dict[str, Any] = {"settings": result_settings(cfg)}
        refuse_other_settings(folder, identity)
        text = plan.text(settings.images, cfg.model.rows_per_second, notes_of(cfg))
        print(text, flush=True)
        if settings.plan_only:
            plan.write_csv(folder / "plan.csv")
            return
        if not os.access(folder, os.W_OK):
            raise ValueError(f"{folder} cannot be written: choose another hydra.run.dir")
        logger = build(cfg.logger, sweep=sweep)
        parts = assemble(cfg, settings, plan)
        identity["weights"] = parts.weights
        refuse_other_settings(folder, identity)
    except BaseException:
        with suppress(OSError):  # only an empty folder goes
            folder.rmdir()
        raise
    if finished(folder, settings.images):
        print(f"{folder} is complete for {settings.images} images: nothing to do")
        return
    (folder / "run.json").unlink(missing_ok=True)
    write_text(folder / "identity.json", json.dumps(identity | {"choices": choices}, indent=2) + "\n")
    write_text(folder / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
    plan.write_csv(folder / "plan.csv")
    start_log(folder, text)
    complete(cfg, parts, logger, folder, choices, text)


def complete(cfg: DictConfig, parts: "Parts", logger: Any, folder: Path, choices: dict[str, str], plan: str) -> None:
    """Make what is missing, then everything that is made from it. A file found damaged on the way is made again."""
    from noise_search.store import Damaged, finished_ids

    while True:
        seconds = make(parts, folder)
        if not finished_ids(folder).issuperset(range(parts.settings.images)):
            continue  # another worker has just set a file aside
        if finished(folder, parts.settings.images):
            log.info("another worker has found the run complete")
            return
        try:
            finish(cfg, parts, logger, folder, choices, plan, seconds)
            return
        except Damaged as error:
            log.warning("%s", error)


def plan_of(cfg: DictConfig, settings: Settings, choices: dict[str, str]) -> Plan:
    """The plan, from the configuration alone: nothing heavy is imported."""
    series = f"{choices['model']}/{choices['algorithm']}/{choices['verifier']}/cfg={settings.cfg_scale:g}"
    if cfg.model.solver not in SOLVERS:
        raise ValueError(f"model.solver={cfg.model.solver}: {' or '.join(SOLVERS)}")
    build(cfg.dataset)  # refuses a class id that is out of range
    return make_plan(series, build(cfg.algorithm), build(cfg.budget), settings.guidance.rows, cfg.model.multiply_adds)


def with_observers(cfg: DictConfig, choice: str) -> DictConfig:
    """cfg with the names in `observers` replaced by their configurations; choice: the name of cfg.verifier."""
    names = list(cfg.observers) if OmegaConf.is_list(cfg.observers) else None
    if names is None or not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError(f"observers={cfg.observers}: a list of verifiers, each once")
    if again := set(names) & set(columns_of(cfg, choice)):
        raise ValueError(f"observers={names}: {', '.join(again)} scores every candidate already")
    try:
        nodes = {name: compose("config", [f"verifier={name}"]).verifier for name in names}
    except ConfigCompositionException as error:
        raise ValueError(f"observers={names}: {explain(error)}") from error
    out = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True))
    assert isinstance(out, DictConfig)
    out.observers = {name: OmegaConf.to_container(node, resolve=True) for name, node in nodes.items()}
    return out


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
    algorithm, budget, out = build(cfg.algorithm), build(cfg.budget), []
    finals = {
        cost.final for cost in (budget.cost(algorithm, point) for point in budget.bought(algorithm)) if cost.final
    }
    for level in sorted({v for node in (cfg.verifier, cfg.observers) for v in views_of(node)}):
        grids = algorithm.grids(budget.search_nfe, cfg.model.solver)
        grids += [uniform_grid(nfe, cfg.model.solver) for nfe in sorted(finals)]
        knots = ", ".join(dict.fromkeys(f"{grid.times[grid.nearest(level)]:.3g}" for grid in grids))
        out.append(f"view: clean predictions are taken at t = {knots} (nearest knots to {level:g}), at no cost")
    return out


def assemble(cfg: DictConfig, settings: Settings, plan: Plan) -> "Parts":
    """Load every network onto the device."""
    import torch

    from noise_search.denoiser import Batches
    from noise_search.runner import Parts
    from noise_search.verifiers.observed import Observed
    from noise_search.verifiers.oracle_fid import OracleFID
    from noise_search.workers import this_worker

    device, worker = settings.device, this_worker(settings.rank, settings.world)
    if device == "auto":
        device = f"cuda:{worker.local % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError(f"device={device}: no CUDA device here; use device=cpu or device=auto")
    dataset, judge = build(cfg.dataset, seed=settings.seed), build(cfg.metrics, device=device)
    context = {"device": device, "judge": judge, "dataset": dataset}
    verifier = build(cfg.verifier, **context)
    if cfg.observers and isinstance(verifier, OracleFID):
        raise ValueError("observers: not beside verifier=oracle_fid, whose candidates' features are not kept")
    if cfg.observers:
        verifier = Observed(verifier, {name: build(node, **context) for name, node in cfg.observers.items()})
    model = build(cfg.model.build, device=device)
    weights = model.weights | verifier.weights | judge.weights
    footer = {"settings": settings_digest(cfg), "weights": json.dumps(weights), "versions": json.dumps(versions())}
    parts = Parts(
        verifier=verifier,
        model=model,
        dataset=dataset,
        algorithm=build(cfg.algorithm),
        budget=build(cfg.budget),
        judge=judge,
        plan=plan,
        settings=settings,
        solver=cfg.model.solver,
        device=device,
        batches=Batches(model.batch_size if settings.batch_size == "auto" else int(settings.batch_size)),
        footer=footer,
        worker=worker,
    )
    refuse_misfits(parts)
    return parts


def refuse_misfits(parts: "Parts") -> None:
    """One blank image goes through verifier and judge, so that groups that do not fit are told before the search."""
    import torch

    from noise_search.algorithms.random import Random
    from noise_search.metrics.judges import tensor_to_images
    from noise_search.runner import begin
    from noise_search.verifiers.oracle_fid import OracleFID

    model, dataset = parts.model, parts.dataset
    if len(dataset.names) != model.classes:
        raise ValueError(f"dataset {dataset.name} has {len(dataset.names)} classes, model {model.name} {model.classes}")
    if isinstance(parts.verifier, OracleFID):
        if not isinstance(parts.algorithm, Random):
            raise ValueError(f"verifier=oracle_fid: with algorithm=random only, not {parts.algorithm.name}")
        if parts.worker.world > 1:
            raise ValueError(
                f"verifier=oracle_fid: one worker only, not world={parts.worker.world}: groups follow one another"
            )
        if parts.plan.purchases[0].point < 1 or not parts.plan.sweep_search:
            raise ValueError("verifier=oracle_fid: budget points from N = 1 on, at least one above 1")
    problem = begin(parts, [0])
    parts.algorithm.init(problem, parts.plan.purchases[-1].point)
    with torch.no_grad():
        blank = torch.zeros(1, *model.shape, device=parts.device)
        image = problem.flow.decode(blank)
        size = "x".join(map(str, image.shape[1:]))
        try:
            problem.score(blank[None], blank.new_zeros(1, 1, len(parts.verifier.needs), *model.shape))
        except RuntimeError as error:
            raise ValueError(f"verifier {parts.verifier.name} cannot score {model.name}'s {size} images") from error
        seen = parts.judge.features(tensor_to_images(image))[:, parts.judge.main.columns]
        if seen.shape[1] != len(parts.judge.main.gaussian.mean):
            raise ValueError(f"metrics on {parts.judge.network} do not fit {model.name}'s {size} images")


def refuse_other_settings(folder: Path, identity: dict[str, Any]) -> None:
    """A folder belongs to one set of result settings and one set of weights."""
    path = folder / "identity.json"
    if not path.is_file():
        return
    known = json.loads(path.read_text())
    stored, asked = flatten({part: known[part] for part in identity}), flatten(identity)
    for key in stored | asked:
        if stored.get(key) != asked.get(key):
            raise ValueError(
                f"{folder} holds results of {key}={stored.get(key)}, not {asked.get(key)}: choose another hydra.run.dir"
            )


def finished(folder: Path, images: int) -> bool:
    path = folder / "run.json"
    return path.is_file() and json.loads(path.read_text())["images"] == images


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


def make(parts: "Parts", folder: Path) -> dict[str, float]:
    """Make the images that `folder` lacks; returns seconds by stage, and how many they were."""
    from noise_search.population import run_population
    from noise_search.runner import run
    from noise_search.verifiers.oracle_fid import OracleFID

    if isinstance(parts.verifier, OracleFID):
        return run_population(parts, parts.verifier, folder)
    return run(parts, folder)


def keeps_bank(parts: "Parts") -> bool:
    """Does the run keep the scores of all candidates?"""
    from noise_search.algorithms.random import Random

    plain = parts.verifier.columns == len(parts.verifier.members)
    return isinstance(parts.algorithm, Random) and plain and parts.plan.sweep_search > 0


def finish(
    cfg: DictConfig,
    parts: "Parts",
    logger: Any,
    folder: Path,
    choices: dict[str, str],
    plan: str,
    seconds: dict[str, float],
) -> None:
    """From finished units to the curve, its figures, the report and the logger's mirror; run.json comes last."""
    import numpy as np
    import torch

    from noise_search.evaluate import COLUMNS, FLOOR_COLUMNS, curve, floors, write_csv
    from noise_search.export import export_npz
    from noise_search.loggers import Record
    from noise_search.report.figures import figures
    from noise_search.report.html import GRID_COLUMNS, write_report
    from noise_search.report.images import write_grids
    from noise_search.report.matrix import banks, write_matrix
    from noise_search.store import read_units

    log.info("searched and rendered %d images in %.0f s", seconds["images"], seconds["search"] + seconds["render"])
    started = time.monotonic()
    names: dict[str, Any] = {key: choices[key] for key in ("model", "dataset", "algorithm", "verifier")}
    names |= {"cfg_scale": parts.settings.cfg_scale, "seed": parts.settings.seed}
    names["weights"] = " ".join(f"{name}:{digest[:16]}" for name, digest in parts.weights.items())
    rows = curve(parts, folder, names)
    write_csv(folder / "curve.csv", rows, COLUMNS)
    floor_rows = floors(parts, parts.settings.images)
    write_csv(folder / "floors.csv", floor_rows, FLOOR_COLUMNS)
    if not floor_rows:
        why = "(scripts/fetch_cifar10.py)" if parts.judge.heldout_name else f"({parts.judge.network} keeps none)"
        log.info("no floors: not %d held-out images at hand %s", parts.settings.images, why)
    seconds["evaluate"] = time.monotonic() - started
    pictures = figures(folder / "figures", rows, floor_rows, parts.settings.axis)
    columns = list(columns_of(cfg, choices["verifier"])) if keeps_bank(parts) else []
    if len(columns) > 1:
        bank, more = banks(read_units(folder, ("image_id", "bank"), parts.settings.images), len(columns)), {}
        if len(parts.verifier.members) - len(cfg.observers) > 1:  # an ensemble chose: it has no column of its own
            more[choices["verifier"]] = parts.verifier.combine(torch.from_numpy(bank), bank.shape[1]).argmax(1).numpy()
        pictures.append(write_matrix(folder / "figures", bank, columns, more))
    shown = read_units(folder, GRID_COLUMNS, min(parts.settings.images, SHOWN))
    grids = write_grids(folder / "images", shown, parts.plan.purchases)

    if parts.judge.export_npz:
        for p in parts.plan.purchases:
            export_npz(folder, p.point, parts.settings.images, folder / f"samples/nfe{p.nfe:06d}.npz")
    spent = bill(parts, read_units(folder, BILLED, parts.settings.images))
    facts = facts_of(parts, spent, seconds)
    title = f"{choices['model']}: {choices['algorithm']} search, {choices['verifier']} verifier"
    yaml = OmegaConf.to_yaml(cfg, resolve=True)
    write_report(
        folder / "report.html", title, plan, rows, floor_rows, pictures, shown, parts.dataset.names, yaml, facts
    )
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    pictures_of = {point: np.asarray(grid) for point, grid in grids.items()}
    logger.log(Record(folder, config, rows, parts.settings.axis, pictures_of))
    record = {"images": parts.settings.images, "spent": spent, "seconds": seconds, "facts": facts}
    record |= {"choices": choices, "columns": columns}
    write_text(folder / "run.json", json.dumps(record, indent=2) + "\n")
    log.info("report: %s", folder / "report.html")


def facts_of(parts: "Parts", spent: dict[str, int], seconds: dict[str, float]) -> dict[str, Any]:
    """What the report says of cost, machine, weights and versions."""
    facts: dict[str, Any] = dict(spent)
    if parts.source is not None:
        facts["candidates read again from"] = parts.source
    facts |= {f"seconds to {stage}": round(value, 1) for stage, value in seconds.items() if stage != "images"}
    facts["images made this time"] = int(seconds["images"])
    facts["device"] = f"{parts.device}, {os.cpu_count()} CPU cores, {platform.machine()}, {platform.system()}"
    facts |= {f"weights: {name}": digest for name, digest in parts.weights.items()}
    return facts | versions()


def versions() -> dict[str, str]:
    """Of Python and the libraries whose version can matter."""
    out = {"Python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):  # wandb is not needed without its logger
            out[name] = version(name)
    return out


def bill(parts: "Parts", table: Any) -> dict[str, int]:
    """What the whole sweep cost, in NFE and network rows over all images, as metered; it must equal the plan."""
    import pyarrow.compute as pc

    once = table.filter(pc.equal(table["point"], parts.plan.purchases[0].point))
    address = ["image_id", "candidate", *([] if parts.algorithm.anytime else ["point"])]
    winners = table.group_by(address).aggregate([("nfe_final", "max")])
    spent = {
        "images": once.num_rows,
        "nfe": pc.sum(once["spent_nfe"]).as_py(),
        "nfe_search": parts.plan.sweep_search * once.num_rows,
        "nfe_final": pc.sum(winners["nfe_final_max"]).as_py(),
        "nfe_backward": parts.plan.sweep_backward * once.num_rows,
        "network_rows": pc.sum(once["spent_rows"]).as_py(),
        "images_scored": pc.sum(once["spent_scored"]).as_py(),
        "latents_decoded": pc.sum(once["spent_decoded"]).as_py(),
        "distinct_winners": winners.num_rows,
    }
    if parts.source is not None:  # nothing was searched, and some winners had been rendered there
        if spent["nfe"] > spent["nfe_final"]:
            raise RuntimeError(f"reading {parts.source} again cost more than rendering every winner: {spent}")
        spent |= {"nfe_search": 0, "nfe_final": spent["nfe"]}
    if spent["nfe"] != spent["nfe_search"] + spent["nfe_final"]:
        raise RuntimeError(f"the sweep's bill is not what was planned: {spent}")
    return spent
