"""From a configuration to the parts of a run: every network loaded, and all behind the model tried on a blank image."""

import json
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import numpy as np
import torch
from omegaconf import DictConfig

from noise_search.core.budget import Plan
from noise_search.core.denoiser import Batches
from noise_search.core.images import tensor_to_images
from noise_search.core.observed import Observed
from noise_search.core.population import Population
from noise_search.errors import Refused
from noise_search.measures.metric import Metric, Value, measures_of
from noise_search.run.instantiate import build, refuse_unknown
from noise_search.run.parts import Parts, begin
from noise_search.run.plan import refuse_population
from noise_search.run.settings import Settings, settings_digest
from noise_search.run.workers import this_worker

LIBRARIES = (
    *("torch", "torchvision", "timm", "numpy", "hydra-core", "wandb", "pyarrow"),
    *("diffusers", "open_clip_torch", "torch-fidelity"),
)


def assemble(cfg: DictConfig, settings: Settings, plan: Plan) -> Parts:
    """Load every network onto the device."""
    device, worker = settings.device, this_worker(settings.rank, settings.world)
    if device == "auto":
        device = f"cuda:{worker.local % torch.cuda.device_count()}" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise Refused(f"device={device}: no CUDA device here; use device=cpu or device=auto")
    for name in ("model", "metrics", "verifier", "observers"):
        refuse_unknown(cfg[name], name)
    dataset, judge = build(cfg.dataset, seed=settings.seed), build(cfg.metrics, device=device)
    context = {"device": device, "judge": judge, "dataset": dataset}
    further = dict(cfg.get("more_metrics") or {}).items()
    judge = judge.with_metrics([metric_of(build(node, **context), name) for name, node in further])
    verifier = build(cfg.verifier, **context)
    if isinstance(verifier, Population):
        refuse_population(cfg, settings, plan)
    if cfg.observers:
        verifier = Observed(verifier, {name: build(node, **context) for name, node in cfg.observers.items()})
    model = build(cfg.model.build, device=device)
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
        made_with={"settings": settings_digest(cfg), "versions": json.dumps(versions())},
        worker=worker,
        spacing=cfg.model.get("spacing", "uniform"),
    )
    refuse_misfits(parts)
    return parts


def metric_of(built: object, name: str) -> Metric:
    if not isinstance(built, Metric):
        raise Refused(f"more_metrics: {name} is a {type(built).__name__}, not a metric")
    return built


def refuse_misfits(parts: Parts) -> None:
    """One blank image goes through verifier and judge, so that groups that do not fit are told before the search."""
    model, dataset = parts.model, parts.dataset
    if model.classes is not None and model.classes != (len(dataset.classes) if dataset.classes is not None else None):
        held = f"{len(dataset.classes)} classes" if dataset.classes is not None else "prompts, no classes"
        raise Refused(f"dataset {dataset.name} has {held}, model {model.name} {model.classes} classes")
    if "classes" in parts.verifier.reads and dataset.classes is None:
        raise Refused(f"verifier {parts.verifier.name} knows classes, dataset {dataset.name} has prompts")
    if dataset.classes is None and (wanting := [m.name for m in parts.judge.metrics if m.needs_classes]):
        raise Refused(f"metrics: {', '.join(wanting)} needs classes, dataset {dataset.name} has prompts")
    if (parts.settings.guidance.channels or 0) > model.shape[0]:
        raise Refused(f"guidance.channels={parts.settings.guidance.channels}: {model.name} has {model.shape[0]}")
    if parts.judge.export_npz and not parts.settings.keep_images:
        raise Refused("metrics.export_npz=true: with keep_images=true only, or there is nothing to export")
    problem = begin(parts, [0])
    parts.algorithm.init(problem, parts.plan.purchases[-1].point)
    with torch.no_grad():
        blank = torch.zeros(1, *model.shape, device=parts.device)
        image = problem.flow.decode(blank)
        size = "x".join(map(str, image.shape[1:]))
        try:
            scores = problem.score(blank[None], blank.new_zeros(1, 1, len(parts.verifier.needs), *model.shape))
        except RuntimeError as error:
            raise Refused(f"verifier {parts.verifier.name} cannot score {model.name}'s {size} images") from error
        features = parts.judge.features(tensor_to_images(image))
        seen = features[:, parts.judge.main.columns]
        if seen.shape[1] != len(parts.judge.main.gaussian.mean):
            raise Refused(f"metrics on {parts.judge.network} do not fit {model.name}'s {size} images")
    try_metrics(parts, tensor_to_images(image), features, dataset.index([0]))
    tried = {f"the decoder of {model.name}": image, f"verifier {parts.verifier.name}": scores}
    for what, values in (tried | {f"metrics on {parts.judge.network}": torch.from_numpy(seen)}).items():
        if not values.isfinite().all():
            raise Refused(f"{what}: what it makes of a blank image is not finite; are its weights damaged?")


def try_metrics(parts: Parts, images: np.ndarray, features: np.ndarray, index: np.ndarray) -> None:
    """Every metric on one image: what would end the run after its search ends it here."""
    for metric in parts.judge.metrics:
        try:
            if metric.of_set is None:
                fits = bool(np.isfinite(measures_of([metric], images, index)).all())
            else:
                fits = isinstance(metric.of_set(features, index), Value)
        except (IndexError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise Refused(f"metric {metric.name} cannot measure {parts.model.name}'s images: {error}") from error
        if not fits:
            raise Refused(f"metric {metric.name}: what it makes of a blank image is no finite number")


def versions() -> dict[str, str]:
    """Of Python and the libraries whose version can matter."""
    out = {"Python": platform.python_version()}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):  # some are needed by some groups only
            out[name] = version(name)
    return out
