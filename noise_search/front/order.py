"""From the words of a caller to the parts of a search: shipped ones by the names that Hydra's groups have."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from noise_search.configuration.compose import composed, group_options, own_hydra
from noise_search.core.algorithm import Algorithm
from noise_search.core.budget import Budget
from noise_search.core.checks import whole
from noise_search.core.dataset import Dataset
from noise_search.core.denoiser import Batches
from noise_search.core.draft import Draft, Drafter, LeftOut
from noise_search.core.model import Described, Model, ModelSettings, load_model
from noise_search.core.population import Population
from noise_search.core.problem import Problem, open_problem
from noise_search.core.verifier import Candidates, Surroundings, Verifier, load_verifier, require_contract
from noise_search.errors import Refused
from noise_search.measures.judge import JudgeSettings, load_judge
from noise_search.run.assemble import device_of, precision_of, settled
from noise_search.run.fit import refuse_model, refuse_verifier, verifiers_in
from noise_search.run.instantiate import build
from noise_search.run.settings import Settings, read_settings
from noise_search.run.tuning import batch_size

TEXT_ENSEMBLE = "ensemble_text"
OwnVerifier = Callable[[Tensor, list[str]], Any]
Condition = str | int


class Own(Verifier):
    """A caller's function of images [N, 3, H, W] in [0, 1] and N texts -> [N]; what it does wrong is said by name."""

    differentiable = True  # if the function is
    reads = ("texts",)

    def __init__(self, function: OwnVerifier) -> None:
        self.function, self.weights = function, {}
        self.name = str(getattr(function, "__name__", type(function).__name__))

    def score(self, candidates: Candidates) -> Tensor:
        b, k = candidates.images.shape[:2]
        texts = [text for text in candidates.texts for _ in range(k)]
        images = candidates.images.flatten(0, 1).add(1).div(2)
        try:
            given = self.function(images, texts)
        except torch.OutOfMemoryError:
            raise  # half the rows are tried
        except Exception as error:
            raise RuntimeError(f"verifier {self.name} raised {type(error).__name__}: {error}") from error
        try:
            scores = torch.as_tensor(given).to(images.device)
        except (TypeError, ValueError, RuntimeError) as error:
            raise Refused(f"verifier {self.name} returned {type(given).__name__}, not {b * k} numbers") from error
        if scores.shape != (b * k,):
            raise Refused(f"verifier {self.name} returned shape {tuple(scores.shape)}, not ({b * k},)")
        if bad := int((~scores.isfinite()).sum()):
            raise Refused(f"verifier {self.name} returned NaN or infinity for {bad} of {b * k} images")
        if images.requires_grad and torch.is_grad_enabled() and not scores.requires_grad:
            raise Refused(f"verifier {self.name} has no gradient, which algorithm=first_order needs")
        return scores.float().view(b, k)


@dataclass(frozen=True)
class Order:
    """What was asked for, built and checked. left_out: by the draft of a candidate; index: int64 [B] on the device;
    texts: the same in words."""

    model: Model
    verifier: Verifier
    algorithm: Algorithm
    draft: Draft
    drafter: Drafter
    left_out: LeftOut
    budget: Budget
    settings: Settings
    index: Tensor
    texts: list[str]

    def problem(self, ids: Sequence[int] | None = None) -> Problem:
        s, budget = self.settings, self.budget
        size = batch_size(self.model, str(self.index.device)) if s.batch_size == "auto" else int(s.batch_size)
        given = (ids, budget.search_nfe, budget.final_nfe, s.guidance, s.seed, Batches(size), self.texts)
        return open_problem(self.model, self.verifier, self.index, *given, draft=self.drafter)


def order(
    model: str | Model | ModelSettings,
    conditions: Condition | Sequence[Condition],
    verifier: str | Verifier | OwnVerifier,
    algorithm: str | Algorithm,
    draft: str | Draft,
    dataset: str | Dataset | None,
    numbers: dict[str, Any],
) -> Order:
    """Everything that was named is composed as `python run.py` would; numbers: of the configuration, None: its own."""
    refuse_kinds(model, conditions, verifier, algorithm, draft, dataset)
    named = {"model": model, "verifier": verifier, "algorithm": algorithm, "draft": draft, "dataset": dataset}
    names = {group: name for group, name in named.items() if isinstance(name, str)}
    config = configuration(names)
    asked = build(config["model"], "model", ModelSettings) if isinstance(model, str) else model
    if verifier == "ensemble" and asked.classes is None:
        verifier = ensemble_of(model)
        config = configuration(names | {"verifier": verifier})
    if isinstance(model, Model):
        numbers = usual(model) | {key: value for key, value in numbers.items() if value is not None}
    for key in ("search_nfe", "final_nfe"):
        if numbers.get(key) is not None:
            config["budget"] = config["budget"] | {key: numbers[key]}
    for key in ("seed", "device", "batch_size", "cfg_scale"):
        if numbers.get(key) is not None:
            config[key] = str(numbers[key]) if key == "device" else numbers[key]  # a torch.device has a name
    settings = read_settings(config)
    budget: Budget = build(config["budget"], "budget", Budget)
    source = dataset if isinstance(dataset, Dataset) else None
    if source is None and (dataset is not None or (isinstance(model, str) and asked.classes is not None)):
        source = build(config["dataset"], "dataset", Dataset, seed=settings.seed)
    classes, texts = classes_of(conditions, source, asked)
    if source is None and asked.classes is None:
        source = Dataset("of your own", texts)
    chosen = algorithm if not isinstance(algorithm, str) else build(config["algorithm"], "algorithm", Algorithm)
    choosing = own_verifier(verifier, config)
    judged: JudgeSettings | None = build(config["metrics"], "metrics") if choosing.needs_judge else None
    for name, one in verifiers_in(choosing, verifier if isinstance(verifier, str) else choosing.name):
        if source is not None:
            refuse_verifier(name, one, source, judged)
        elif one.class_set is not None or (one.needs_judge and "classes" in one.reads):
            refuse_unsaid(name, one, asked)
        elif "texts" in one.reads and not isinstance(one, Own):  # a caller's own may do without
            what = f"{asked.name} has class ids only"
            raise Refused(f"verifier {name} reads texts, {what}: give dataset=..., whose classes have names")
    chosen.refuse(choosing)
    drafted: Draft = draft if not isinstance(draft, str) else build(config["draft"], "draft", Draft)
    settings = replace(settings, guidance=replace(settings.guidance, distilled=asked.distilled))
    drafted.refuse(asked, choosing, chosen, settings.guidance, budget.search_nfe, budget.final_nfe)
    chosen, budget = drafted.beside(chosen), budget.with_search_nfe(drafted.evaluations(budget.search_nfe, asked))
    left_out = drafted.left_out(budget.search_nfe, asked, settings.guidance)

    device = device_of(where(model, settings.device))
    precision = precision_of(settings.precision, device)
    for _, one in verifiers_in(choosing, choosing.name):
        settled(one, precision)
    built, drafter = loaded(asked, drafted, precision, device)
    words = texts if asked.classes is None or source is None else source.texts
    load_verifier(choosing, Surroundings(device, source, load_judge(judged, device, words) if judged else None))
    index = torch.tensor(classes, device=device)
    return Order(built, choosing, chosen, drafted, drafter, left_out, budget, settings, index, texts)


def loaded(asked: Described, draft: Draft, precision: str, device: str) -> tuple[Model, Drafter]:
    """The model, and what makes candidates for it."""
    settle = partial(settled, precision=precision)
    if isinstance(asked, Model):
        model = asked
    else:
        asked = settle(asked)
        model = load_model(asked, device)
    return model, draft.settled(settle).load(model, asked, device)


def ensemble_of(model: str | Model | ModelSettings) -> str:
    """What "ensemble" is for a model that reads texts: that of the model's own name, or of published verifiers."""
    own = f"{model}_ensemble"
    with own_hydra():
        return own if isinstance(model, str) and own in group_options("verifier") else TEXT_ENSEMBLE


def usual(model: Model) -> dict[str, Any]:
    """The numbers that a model brings: its usual sampling, as the draft and as the final generation."""
    numbers = {"search_nfe": model.steps, "final_nfe": model.steps, "cfg_scale": model.guidance}
    return {key: value for key, value in numbers.items() if value is not None}


def own_verifier(verifier: str | Verifier | OwnVerifier, config: dict[str, Any]) -> Verifier:
    """Not loaded yet."""
    if not isinstance(verifier, str | Verifier):
        return Own(verifier)
    chosen = build(config["verifier"], "verifier", Verifier) if isinstance(verifier, str) else verifier
    assert isinstance(chosen, Verifier)
    for name, one in verifiers_in(chosen, verifier if isinstance(verifier, str) else type(verifier).__name__):
        one.name = one.name or name
        require_contract(one)
    if isinstance(chosen, Population):
        raise Refused(f"verifier {chosen.name} chooses for a whole set of images: use run.py")
    return chosen


def refuse_unsaid(name: str, verifier: Verifier, model: Model | ModelSettings) -> None:
    """Without a dataset only the model itself may say whose classes its numbers are."""
    if verifier.class_set is None or verifier.class_set != model.class_set:
        raise Refused(f"verifier {name} scores classes: give dataset=..., whose classes {model.name} makes")


def refuse_kinds(model: Any, conditions: Any, verifier: Any, algorithm: Any, draft: Any, dataset: Any) -> None:
    """Arguments that are nothing of what may stand there."""
    if not isinstance(model, str | Model | ModelSettings):
        raise Refused(f"model={model!r}: a name, a Model, or the settings of one")
    if not isinstance(conditions, str | Sequence) and not whole(conditions):
        raise Refused(f"conditions={conditions!r}: class names, class ids, or texts")
    if isinstance(verifier, type) or not (isinstance(verifier, str | Verifier) or callable(verifier)):
        raise Refused(f"verifier={verifier!r}: a name, a Verifier, or a function (images, texts) -> [N]")
    if isinstance(algorithm, type) or not isinstance(algorithm, str | Algorithm):
        raise Refused(f"algorithm={algorithm!r}: a name or an algorithm")
    if isinstance(draft, type) or not isinstance(draft, str | Draft):
        raise Refused(f"draft={draft!r}: a name or a draft")
    if dataset is not None and not isinstance(dataset, str | Dataset):
        raise Refused(f"dataset={dataset!r}: a name or a Dataset")


def classes_of(
    conditions: Condition | Sequence[Condition], dataset: Dataset | None, model: Model | ModelSettings
) -> tuple[list[int], list[str]]:
    """Numbers and words of conditions. For a model of classes: a name must be one of the dataset's, an id one of the
    model's; for a model that reads texts: any text, numbered in their order here."""
    single = isinstance(conditions, str) or whole(conditions)
    asked: list[Any] = [conditions] if single else list(conditions)  # type: ignore[arg-type]
    if not asked:
        raise Refused("conditions: none are given")
    if model.classes is None:
        if dataset is not None and dataset.classes is not None:
            raise Refused(f"dataset {dataset.name} has classes, {model.name} reads texts: give none")
        if wrong := [condition for condition in asked if not isinstance(condition, str)]:
            raise Refused(f"condition {wrong[0]!r}: {model.name} reads texts")
        return list(range(len(asked))), [str(condition) for condition in asked]
    if dataset is not None:
        refuse_model(model, dataset)
    classes = []
    for condition in asked:
        if isinstance(condition, str):
            classes.append(class_of(condition, dataset, model))
        elif whole(condition) and 0 <= condition < model.classes:
            classes.append(int(condition))
        else:
            raise Refused(f"condition {condition!r}: a class name, or a class id from 0 to {model.classes - 1}")
    return classes, [name_of(k, condition, dataset) for k, condition in zip(classes, asked, strict=True)]


def class_of(name: str, dataset: Dataset | None, model: Model | ModelSettings) -> int:
    if dataset is None:
        raise Refused(f"condition {name!r}: {model.name} has class ids only; dataset=... gives them names")
    names = [str(other) for other in dataset.texts]
    found = [k for k, other in enumerate(names) if other == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused(f"condition {name!r}: {dataset.name} calls classes {found} so; give one of these ids")
    near = difflib.get_close_matches(name, names, 3) or names[:10]
    raise Refused(f"condition {name!r}: not a class of {dataset.name}; near it are {', '.join(near)}")


def name_of(k: int, condition: Condition, dataset: Dataset | None) -> str:
    if isinstance(condition, str):
        return condition
    try:
        return str(dataset.texts[k]) if dataset is not None else f"class {k}"
    except ValueError:  # names that an optional library has
        return f"class {k}"


def where(model: str | Model | ModelSettings, device: str) -> str:
    """The device that was asked for; of a model that is loaded already "auto" is its own, and it is not moved."""
    if not isinstance(model, Model):
        return device
    if model.device is None:
        return model_device(model) if device == "auto" else device
    asked, own = torch.device(model.device if device == "auto" else device), torch.device(model.device)
    if asked.type != own.type or (None not in (asked.index, own.index) and asked.index != own.index):
        raise Refused(f"device={device}: {model.name} computes on {own}; move the pipeline itself")
    return str(own)


def model_device(model: Model) -> str:
    """Where the parameters of a model that is loaded already are."""
    network = model.network
    return str(next(network.parameters()).device) if isinstance(network, torch.nn.Module) else "cpu"


def configuration(named: dict[str, str]) -> dict[str, Any]:
    """The configuration with these choices. An experiment of a model's name is what that model brings."""
    with own_hydra():
        for group, name in named.items():
            known = group_options(group)
            if name not in known:
                raise Refused(f"{group}={name!r}: one of {', '.join(known)}")
        overrides = [f"{group}={name}" for group, name in named.items()]
        if named.get("model") in group_options("experiment"):
            overrides.append(f"experiment={named['model']}")
        return composed(overrides)[0]
