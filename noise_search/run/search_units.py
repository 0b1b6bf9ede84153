"""The work of a run: search and render unit by unit of image ids, bill every row, write what is finished."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noise_search.core.algorithm import Independent, keeps
from noise_search.core.draft import bills
from noise_search.core.driver import Mark, Readout, Spent, sweep_points
from noise_search.core.problem import Problem
from noise_search.core.stopwatch import by_stage
from noise_search.core.verifier import Verifier
from noise_search.errors import Refused
from noise_search.run.checkpoint import Checkpoint, Halfway
from noise_search.run.parts import Parts, begin
from noise_search.run.progress import Progress, Work
from noise_search.run.render import Key, keys_of, render
from noise_search.run.settings import UNIT
from noise_search.run.sheets import Sheets
from noise_search.storage.run_folder import finished_ids, runs, words
from noise_search.storage.units import write_unit


def walk(parts: Parts, folder: Path) -> Iterator[tuple[range, list[range]]]:
    """Groups of image ids, as many units as fill a batch, each with the spans of it that `folder` lacks.

    From this worker's own offset once round all of them; what others have finished by then is left out. So the units of
    a dead worker are taken over, workers may come and go, and a race costs nothing but time. Groups are the same for
    everybody: whoever makes a unit computes the same batches, to the bit.
    """
    worker, images, size = parts.run.worker, parts.run.settings.images, group_size(parts)
    groups = [range(start, min(start + size, images)) for start in range(0, images, size)]
    turn = worker.rank * len(groups) // worker.world
    for group in groups[turn:] + groups[:turn]:
        done = finished_ids(folder)
        missing = [span for unit in units(group) for span in runs(i for i in unit if i not in done)]
        if missing:
            yield group, missing


def group_size(parts: Parts) -> int:
    """Images that are searched for together: whole units."""
    run = parts.run
    each = run.algorithm.at_once(run.plan.purchases[-1].point) * run.guidance.rows
    return max(1, parts.tuning.batch_size // (UNIT * each)) * UNIT


def units(ids: range) -> list[range]:
    """Units: ranges of ids that begin at the multiples of UNIT."""
    return [range(start, min(start + UNIT, ids.stop)) for start in range(ids.start, ids.stop, UNIT)]


def make_units(parts: Parts, folder: Path) -> Work:
    """Make every image id below settings.images that `folder` lacks.

    A unit where a candidate has pixels or a score that is not finite is not written; all others are, before the error.
    """
    done = finished_ids(folder)
    work = begin_work(parts, sum(i not in done for i in range(parts.run.settings.images)))
    broken: dict[int, range] = {}  # the first image of a unit that is broken -> the unit
    for group, missing in walk(parts, folder):
        problem = begin(parts, list(group))
        checkpoint = Checkpoint(parts, problem, folder)
        rows = search_and_render(parts, problem, work, checkpoint)
        for unit in missing:
            if bad := [i for i in problem.broken_ids if i in unit]:
                broken[bad[0]] = unit
                continue
            write_unit(folder, [row for row in rows if row["image_id"] in unit], parts.footer)
            work.images += len(unit)
        checkpoint.remove()
    work.close()
    if broken:
        spans, names = words(broken.values()), ", ".join(map(str, broken))
        raise Refused(f"{folder} is incomplete: ids {spans} are missing: {names} have pixels or scores not finite")
    return work


def begin_work(parts: Parts, missing: int) -> Work:
    """Of making `missing` images."""
    plan = parts.run.plan
    return Work(Progress(missing, plan.sweep_search + sum(plan.sweep_final) // 2))


@torch.no_grad()
def search_and_render(
    parts: Parts, problem: Problem, work: Work, checkpoint: Checkpoint | None = None, start: Any = None
) -> list[dict[str, Any]]:
    """Search and render: one row an (image, point), as `units.SCHEMA` says. start: a state to begin from; what it has
    cost is on the problem's meters and watch already."""
    known, algorithm = evaluated(problem), parts.run.algorithm
    found = checkpoint.load() if checkpoint else None
    found = found or Halfway(Mark(Spent.nothing(len(problem.ids)), 0), start)

    def keep() -> None:
        nonlocal known
        work.add(evaluated(problem) - known)
        known = evaluated(problem)
        if checkpoint:
            checkpoint.save(found)

    for _ in searched(parts, problem, found):
        keep()
    spans = len(problem.watch.spans)
    render(parts, problem, found.readouts, work, found.finals, keep)
    work.took(by_stage(problem.watch.spans[:spans]))  # its scores have been read: nothing is waited for
    work.add(0, len(problem.ids))
    check_ledger(parts, problem, found.readouts, found.finals)
    bank = algorithm.bank(found.state) if isinstance(algorithm, Independent) and found.state.round else None
    return rows_of(parts, problem, found.readouts, found.finals, bank)


def evaluated(problem: Problem) -> int:
    """NFE of all images so far."""
    return int(problem.meters.evaluations.count.sum())


def searched(parts: Parts, problem: Problem, found: Halfway) -> Iterator[None]:
    """Search on from what was found. At each step `found` and the meters belong together."""
    algorithm, points = parts.run.algorithm, [p.point for p in parts.run.plan.purchases]
    if found.searched:
        return
    first = 0 if algorithm.anytime else len(found.readouts)
    for event in sweep_points(problem, algorithm, points, problem.meters, found.state, found.begun, first):
        if not isinstance(event, Readout):
            found.state = event
            yield
            continue
        found.readouts.append(event)
        if not algorithm.anytime:
            found.begun = Mark.of(problem)
    found.searched = True


def rows_of(
    parts: Parts,
    problem: Problem,
    readouts: list[Readout],
    finals: dict[Key, dict[str, Any]],
    bank: Tensor | None,
) -> list[dict[str, Any]]:
    """The rows to store. bank: scores [B, N, V] of all candidates of a random search."""
    total, padding, images = Spent.of(problem.meters), problem.meters.network.padding, len(problem.ids)
    seconds = {stage: value / images for stage, value in by_stage(problem.watch.spans).items()}
    witness, out = problem.witness, list[dict[str, Any]]()
    for readout in readouts:
        alone = sum(by_stage(readout.spans).values()) / images
        for i, key in enumerate(keys_of(readout)):
            final = dict(finals[key])
            rows_final = final.pop("rows_final")
            out.append(
                {
                    "image_id": problem.ids[i],
                    "condition": int(problem.index[i]),
                    "point": readout.point,
                    "candidate": key[2],
                    "ties": None if readout.result.ties is None else int(readout.result.ties[i]),
                    "scores": readout.result.score[i].tolist(),
                    "sheet": witness.sheet(i) if isinstance(witness, Sheets) and readout is readouts[-1] else None,
                    **kept(problem.verifier, bank[i] if bank is not None else None, key[2], readout is readouts[-1]),
                    "nfe_search": int(readout.spent.evaluations[i]),
                    "nfe_backward": int(readout.spent.backward[i]),
                    "network_rows": int(readout.spent.rows[i]) + rows_final,
                    "left_out": int(readout.spent.left_out[i]),
                    "spent_nfe": int(total.evaluations[i]),
                    "spent_rows": int(total.rows[i]),
                    "spent_padding": padding // images + (i < padding % images),
                    "spent_scored": int(problem.scored.count[i]),
                    "spent_decoded": int(problem.decoded.count[i]),
                    "seconds_search": alone,
                    "spent_seconds": seconds,
                    "device": parts.device_name,
                    **final,
                }
            )
    return out


def kept(verifier: Verifier, bank: Tensor | None, candidate: int, last: bool) -> dict[str, Any]:
    """What is stored of one image's scores bank [N, V] of all candidates: all of them, at the largest budget only; of
    a verifier whose columns are features, those of the chosen candidate."""
    if bank is None:
        return {"bank": None, "features_search": None}
    if verifier.columns > len(verifier.members):
        return {"bank": None, "features_search": bank[candidate].cpu().numpy().tobytes()}
    return {"bank": bank.flatten().tolist() if last else None, "features_search": None}


def refuse_broken(problem: Problem) -> None:
    """For those whose other results depend on every image of the problem."""
    if problem.broken_ids:
        raise Refused(f"pixels or scores of {', '.join(map(str, problem.broken_ids))} are not finite")


def check_ledger(parts: Parts, problem: Problem, readouts: list[Readout], finals: dict[Key, dict[str, Any]]) -> None:
    """All meters must agree with the closed form: for every point, and for the sweep with its distinct winners. Of a
    `Bounded` algorithm what was searched and scored is at most that, and rows are still those of the evaluations."""
    meters, algorithm = problem.meters, parts.run.algorithm
    scored = torch.full_like(meters.evaluations.count, parts.run.plan.sweep_scored)
    planned = torch.full_like(meters.evaluations.count, parts.run.plan.sweep_search)
    final_nfe = torch.zeros_like(planned)
    for key, final in finals.items():
        final_nfe[key[0]] += final["nfe_final"]
        scored[key[0]] += 1
    planned += final_nfe
    agrees = keeps(algorithm, problem.scored.count, scored)
    agrees &= keeps(algorithm, meters.evaluations.count, planned)
    run = parts.run
    drafted = (run.draft, run.left_out, run.budget.search_nfe, run.guidance.rows)
    agrees &= bills(*drafted, Spent.of(meters), meters.evaluations.count - final_nfe)
    agrees &= bool((meters.backward.count == parts.run.plan.sweep_backward).all())
    for purchase, readout in zip(parts.run.plan.purchases, readouts, strict=True):
        agrees &= keeps(algorithm, readout.spent.evaluations, purchase.nfe_search)
        agrees &= bool((readout.spent.backward == purchase.nfe_backward).all())
        agrees &= bills(*drafted, readout.spent, readout.spent.evaluations)
        agrees &= all(finals[key]["nfe_final"] == purchase.nfe_final for key in keys_of(readout))
    if not agrees:
        raise RuntimeError("the NFE ledger is wrong: what the meters counted is not what the plan promised")
