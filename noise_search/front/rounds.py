"""How `api.search` runs: rounds until a point or a clock ends them, the final generation, the bill and its check."""

from __future__ import annotations

import time
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from noise_search.algorithms.first_order import GradientSearch
from noise_search.algorithms.none import NoSearch
from noise_search.algorithms.random import RandomState
from noise_search.core.algorithm import Algorithm, Result, Traceable, keeps, unsearched
from noise_search.core.budget import largest
from noise_search.core.draft import bills
from noise_search.core.driver import Spent, search
from noise_search.core.gather import take
from noise_search.core.images import images_to_tensor, tensor_to_images
from noise_search.core.problem import Problem
from noise_search.errors import Refused
from noise_search.front.found import Found
from noise_search.front.order import Order

ENDLESS = 2**40  # the point of a search that a clock ends


def point_of(asked: Order, n: int | None, nfe: int | None) -> int:
    """The algorithm's own point that n or nfe buys; ENDLESS where a clock ends the search."""
    algorithm, budget = asked.algorithm, asked.budget
    if nfe is not None:
        return budget.most(algorithm, nfe, "nfe")
    if n is None:
        if not algorithm.anytime:
            raise Refused(f"seconds: algorithm {algorithm.name} has no result before its end; give n or nfe")
        return ENDLESS
    if isinstance(algorithm, NoSearch) and n > 1:
        raise Refused(f"n={n}: algorithm none scores no candidates; give nfe")
    if n == 1:
        return 0
    point = largest(lambda point: budget.cost(algorithm, point).scored <= n, f"Cost.scored of {algorithm.name}")
    if not point:
        least = budget.cost(algorithm, 1).scored
        raise Refused(f"n={n}: the first round of {algorithm.name} scores {least} candidates")
    return point


def searched(asked: Order, point: int, seconds: float | None, shown: bool) -> Found:
    """Search, finish, check what it cost."""
    problem, algorithm, started = asked.problem(), asked.algorithm, time.monotonic()
    cost = asked.budget.cost(algorithm, point)
    total = None if seconds is not None else len(problem.ids) * (cost.search + cost.final)
    state, stopped, curve = None, False, list[tuple[int, float]]()
    with tqdm(total=total, unit="NFE", disable=not shown) as bar:
        try:
            for after in search(problem, algorithm, point if cost.search else 0):
                curve += passed(asked, problem, state.round if state else 0, after, point)
                state = after
                bar.update(int(problem.meters.evaluations.count.sum()) - bar.n)
                if seconds is not None and time.monotonic() - started >= seconds:
                    break
        except KeyboardInterrupt:
            stopped = True
        if state is None or (stopped and not algorithm.anytime):
            result = unsearched(problem)
        else:
            at = reached(algorithm, state.round) if stopped or seconds is not None else point
            result = algorithm.result(problem, state, at)
        images, scores = finished(problem, result, problem.final_nfe if stopped else cost.final)
        bar.update(int(problem.meters.evaluations.count.sum()) - bar.n)
    if not stopped:
        assert state is not None
        check(asked, problem, reached(algorithm, state.round) if seconds is not None else point, state.round)
    nfe, values = int(problem.meters.evaluations.count.max()), scores[:, 0] if scores.shape[1] == 1 else scores
    return Found(
        images=images,
        texts=asked.texts,
        scores=values.numpy(),
        nfe=nfe,
        curve=curve or [(nfe, float(values.mean()))],
        bill=bill(problem) | {"seconds": time.monotonic() - started},
        addresses=addresses_of(problem, result) if isinstance(algorithm, Traceable) else None,
        seed=problem.seed,
        verifier=problem.verifier.name,
        stopped=stopped,
    )


def addresses_of(problem: Problem, result: Result) -> list[tuple[int, ...]] | None:
    """(image, *lineage) of each image."""
    if result.lineage is None:
        return None
    rows = zip(problem.ids, result.lineage.tolist(), strict=True)
    return [(image, *(number for number in row if number >= 0)) for image, row in rows]


def reached(algorithm: Algorithm, round: int) -> int:
    """The point that an anytime search holds the result of after so many rounds."""
    return next((point for point in (round, round - 1) if point >= 0 and algorithm.rounds(point) == round), 0)


def passed(asked: Order, problem: Problem, before: int, state: Any, point: int) -> list[tuple[int, float]]:
    """Of every point that lies after round `before`, up to the state's: its NFE an image, its mean score."""
    algorithm, budget = asked.algorithm, asked.budget
    if isinstance(state, RandomState):
        out = []
        for count in range(before + 1, state.round + 1):
            scores = state.scores[:, :count]
            best = take(scores, problem.combine(scores, count).argmax(1))
            out.append((budget.total(algorithm, count), float(problem.verifier.shown(best).mean())))
        return out
    if not algorithm.anytime and state.round < algorithm.rounds(point):
        return []
    at = reached(algorithm, state.round) if algorithm.anytime else point
    mean = float(algorithm.result(problem, state, at).score.mean())
    return [(budget.total(algorithm, at), mean)] if mean == mean and algorithm.rounds(at) == state.round else []


def finished(problem: Problem, result: Result, nfe: int) -> tuple[list[Image.Image], Tensor]:
    """The images of a result, a noise with `nfe` evaluations, and their scores [B, V] on the CPU, taken from their
    bytes as they are saved."""
    x, views, who, batches = result.x, result.views, problem.who(1), problem.meters.network.batches
    if result.t:
        x, views = problem.flow.solve(x, problem.grid(nfe), who, problem.verifier.needs)
    problem.bill(who, views.shape[1])
    images = torch.cat(batches(problem.flow.decode, x))
    pixels = tensor_to_images(images)

    scores = torch.cat(batches(problem.verify, images_to_tensor(pixels, x.device), views, who))
    good = images.isfinite().flatten(1).all(1) & scores.isfinite().all(1) & ~problem.broken
    if not good.all():
        bad = ", ".join(str(i) for i, fine in zip(problem.ids, good.tolist(), strict=True) if not fine)
        raise RuntimeError(f"images {bad}: pixels, or scores of verifier {problem.verifier.name}, are not finite")
    return [Image.fromarray(image) for image in pixels], problem.verifier.shown(scores).float().cpu()


def bill(problem: Problem) -> dict[str, float]:
    """Over all images."""
    meters = problem.meters
    counts = {
        "evaluations": meters.evaluations,
        "backward": meters.backward,
        "network_rows": meters.network.rows,
        "scored": problem.scored,
        "decoded": problem.decoded,
        "left_out": meters.network.left_out,
    }
    return {name: int(meter.count.sum()) for name, meter in counts.items()}


def check(asked: Order, problem: Problem, point: int, rounds: int) -> None:
    """What every image was metered at is what the closed form promised, or the result is not given out."""
    algorithm, c, final = asked.algorithm, asked.budget.search_nfe, asked.budget.final_nfe
    cost = algorithm.cost(point, c, final)
    if algorithm.anytime and rounds and not cost.search:  # a clock let it score the first candidate, and no other
        cost = cost._replace(search=c, scored=1, backward=c if isinstance(algorithm, GradientSearch) else 0)
    nfe, meters = cost.search + cost.final, problem.meters
    counts = {
        "evaluations": (meters.evaluations, nfe),
        "backward": (meters.backward, cost.backward),
        "scored": (problem.scored, cost.scored + 1),
    }
    for name, (meter, planned) in counts.items():
        if not keeps(algorithm, meter.count, planned):
            raise RuntimeError(f"the ledger is wrong: {name} {meter.count.tolist()} an image, {planned} were planned")
    spent = Spent.of(meters)
    if not bills(asked.draft, asked.left_out, c, meters.guidance.rows, spent, spent.evaluations - cost.final):
        raise RuntimeError(f"the ledger is wrong: network rows {spent.rows.tolist()} an image, of {nfe} evaluations")
