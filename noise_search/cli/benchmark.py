"""A run's images in the layout of a benchmark that has scorers of its own, and what these have said of them."""

from pathlib import Path
from typing import Any

import numpy as np

from noise_search.errors import MissingFile, Refused
from noise_search.measures.metric import mean_of
from noise_search.run.description import Description
from noise_search.run.evaluate import cells
from noise_search.run.reopen import reopen
from noise_search.storage.curve_csv import CATEGORY_COLUMNS, write_csv
from noise_search.storage.export import pngs
from noise_search.storage.t2i_compbench import (
    NAME,
    Question,
    questions,
    read_answers,
    read_questions,
    results_path,
    write_samples,
)


def asked(described: Description) -> list[Question]:
    """The questions of a run's images."""
    dataset, images = described.dataset, described.settings.images
    if not len(dataset.categories):
        raise Refused(f"as={NAME}: the prompts of dataset {dataset.name} have no categories")
    return questions(dataset.index(range(images)).tolist(), dataset.texts, dataset.categories)


def export_benchmark(run: Path, into: Path | None, points: list[int]) -> int:
    """Write FOLDER/{budget}/{category}/samples/{prompt}_{id}.png. into: FOLDER; points: some of the budgets."""
    described = reopen(run)
    all_asked, known = asked(described), [p.point for p in described.plan.purchases]
    if unknown := set(points) - set(known):
        raise Refused(f"points={min(unknown)}: {run} has {', '.join(map(str, known))}")
    for question in all_asked:
        if question.changed:
            print(f"image {question.image}: its file is called {question.name!r}, its prompt is {question.prompt!r}")
    for p in described.plan.purchases:
        if not points or p.point in points:
            folder = (into or run / "samples" / NAME) / p.label
            write_samples(folder, all_asked, pngs(run, p.point, described.settings.images))
            print(folder)
    return 0


def import_benchmark(run: Path, source: Path | None) -> int:
    """Read what the benchmark's scripts left beside the exported images: RUN/t2i_compbench.csv, means by category over
    the answers that are there. source: where it was exported to."""
    described = reopen(run)
    all_asked, root, rows = asked(described), source or run / "samples" / NAME, list[dict[str, Any]]()
    for p in described.plan.purchases:
        folder = root / p.label
        if not folder.is_dir():
            continue
        if read_questions(folder) != all_asked:
            raise Refused(f"{folder}: exported from other images than those of {run}; export again")
        for category in dict.fromkeys(question.category for question in all_asked):
            path, count = results_path(folder, category), sum(q.category == category for q in all_asked)
            if not path.is_file():
                print(f"{path} is not there: the benchmark's script for {category} writes it")
                continue
            answers = read_answers(path, count)
            value = mean_of(np.array(list(answers.values())))
            told = {"category": category, "point": p.point, "nfe": p.nfe, "metric": path.parent.name}
            rows.append({**told, **cells(value, len(answers))})
            print(f"{p.label} {category}: {value.value:.4f}, {len(answers)} of {count} images")
    if not rows:
        raise MissingFile(
            f"{root}: no results of an exported budget; `noise-search export {run} as={NAME}` comes first"
        )
    write_csv(run / f"{NAME}.csv", rows, CATEGORY_COLUMNS)
    print(run / f"{NAME}.csv")
    return 0
