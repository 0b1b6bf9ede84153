"""What does not fit together, told by what is known of the parts before any of them is loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from noise_search.core.algorithm import Algorithm, Climbing, Independent
from noise_search.core.budget import Plan
from noise_search.core.dataset import Dataset
from noise_search.core.draft import Draft
from noise_search.core.guidance import Guidance
from noise_search.core.model import Model, ModelSettings
from noise_search.core.population import Population
from noise_search.core.verifier import Several, Verifier
from noise_search.errors import Refused
from noise_search.measures.judge import JudgeSettings
from noise_search.measures.metric import MetricSettings
from noise_search.run.workers import Worker


def refuse_misfits(
    model: Model | ModelSettings,
    dataset: Dataset,
    verifier: Verifier,
    algorithm: Algorithm,
    guidance: Guidance,
    judge: JudgeSettings,
    more_metrics: Sequence[MetricSettings],
    choice: str,
) -> None:
    """choice: the name of the verifier in the configuration."""
    refuse_model(model, dataset)
    for name, one in verifiers_in(verifier, choice):
        refuse_verifier(name, one, dataset, judge)
    if judge.class_set not in (None, dataset.class_set):
        held = f"those of {dataset.class_set}" if dataset.class_set else "prompts"
        raise Refused(f"metrics: their classes are those of {judge.class_set}, dataset {dataset.name} has {held}")
    wanting = [*judge.needing_classes, *(metric.name for metric in more_metrics if metric.needs_classes)]
    if dataset.classes is None and wanting:
        raise Refused(f"metrics: {', '.join(wanting)} needs classes, dataset {dataset.name} has prompts")
    if (guidance.channels or 0) > model.shape[0]:
        raise Refused(f"guidance.channels={guidance.channels}: {model.name} has {model.shape[0]}")
    if verifier.climbs_apart and not isinstance(algorithm, Climbing):
        raise Refused(
            f"verifier {choice} climbs one part and chooses by another: not with {algorithm.name}, no gradient"
        )
    algorithm.refuse(verifier)


def refuse_model(model: Model | ModelSettings, dataset: Dataset) -> None:
    """A model of classes is asked for its own."""
    if model.classes is None:
        return
    if dataset.classes is None:
        raise Refused(f"dataset {dataset.name} has prompts, no classes, model {model.name} {model.classes} classes")
    if model.classes != len(dataset.classes):
        held = f"{len(dataset.classes)} classes"
        raise Refused(f"dataset {dataset.name} has {held}, model {model.name} {model.classes} classes")
    if model.class_set not in (None, dataset.class_set):
        other = f"those of {dataset.class_set}"
        raise Refused(f"model {model.name} knows the classes of {model.class_set}, dataset {dataset.name} has {other}")


def verifiers_in(verifier: Verifier, name: str) -> list[tuple[str, Verifier]]:
    """Every verifier by its name, those inside others too."""
    if not isinstance(verifier, Several):
        return [(name, verifier)]
    return [found for key, part in verifier.parts.items() for found in verifiers_in(part, key or name)]


def refuse_verifier(name: str, verifier: Verifier, dataset: Dataset, judge: JudgeSettings | None) -> None:
    """judge: None where there is none; then it is not asked about."""
    if "classes" in verifier.reads and dataset.classes is None:
        raise Refused(f"verifier {name} knows classes, dataset {dataset.name} has prompts")
    if verifier.class_set not in (None, dataset.class_set):
        held = f"those of {dataset.class_set}" if dataset.class_set else "prompts"
        raise Refused(f"verifier {name} knows the classes of {verifier.class_set}, dataset {dataset.name} has {held}")
    if judge is None or not verifier.needs_judge or "classes" not in verifier.reads:
        return
    if judge.class_set is None:
        raise Refused(f"verifier {name}: the judge's classes are not known; give metrics.label_map")
    if judge.class_set != dataset.class_set:
        held = f"those of {dataset.class_set}"
        raise Refused(f"verifier {name}: the judge knows the classes of {judge.class_set}, {dataset.name} has {held}")


def refuse_population(
    choice: str,
    verifier: Population,
    algorithm: Algorithm,
    plan: Plan,
    worker: Worker,
    observers: Mapping[str, Verifier],
    draft: Draft,
) -> None:
    """What a verifier that looks at the whole set cannot do."""
    what = f"verifier={choice} looks at the whole set of images"
    if not isinstance(algorithm, Independent):
        raise Refused(f"{what}: with independent candidates (algorithm=random) only, not {algorithm.name}")
    if worker.world > 1:
        raise Refused(f"{what}: one worker only, not world={worker.world}: groups follow one another")
    if plan.purchases[0].point < 1 or not plan.sweep_search:
        raise Refused(f"{what}: budget points from N = 1 on, at least one above 1")
    if not plan.purchases[-1].nfe_final:
        raise Refused(f"{what}: another budget.final_nfe than budget.search_nfe, its winners are generated again")
    if not draft.exact:
        raise Refused(f"{what}: no draft={draft.name} beside it")
    if observers:
        raise Refused(f"{what}: no observers beside it, its candidates' features are not kept")
