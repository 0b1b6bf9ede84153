"""A bank of candidates as other programs read it, in lines of JSON: pairs to train on preferences (arXiv 2311.12908),
or every candidate with its scores, to train predictors of noises on."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from noise_search.errors import Refused
from noise_search.storage.atomic import replacing
from noise_search.storage.units import units

AGAINST = ("worst", "random")


class Bank(NamedTuple):
    """The candidates of one image: what it was asked to show, by its number, and scores float64 [N, V]."""

    image: int
    condition: int
    scores: np.ndarray


@dataclass(frozen=True)
class Source:
    """What the lines of one run share. columns: the names of V verifiers; texts: of all conditions; run: ten digits
    of its settings, as in its folder's name, by which lines of several runs stay apart."""

    columns: Sequence[str]
    texts: Sequence[str]
    seed: int
    run: str

    def asked(self, bank: Bank) -> dict[str, Any]:
        about = {"condition": self.texts[bank.condition], "condition_id": bank.condition}
        return about | {"image": bank.image, "seed": self.seed, "run": self.run}

    def scores(self, bank: Bank, candidate: int) -> dict[str, float]:
        return dict(zip(self.columns, bank.scores[candidate].tolist(), strict=True))


class Rule(NamedTuple):
    """Which pairs an image gives: its best candidate under the verifier in `column` against up to `pairs` others that
    score at least `margin` less: the worst, or some drawn at random by `seed`."""

    column: int
    pairs: int = 1
    against: str = "worst"
    margin: float = 0.0
    seed: int = 0


def banks_of(run: Path, point: int, count: int, columns: int) -> Iterator[Bank]:
    """The banks of image ids 0 to count - 1, in order; a unit in memory at a time. point: the run's largest."""
    for unit in units(run, ("image_id", "condition", "point", "bank"), count, point):
        for row in unit.sort_by("image_id").to_pylist():
            if row["bank"] is None:
                raise Refused(
                    f"{run}: the scores of all candidates are not in it, but in the run that it was read from"
                )
            yield Bank(row["image_id"], row["condition"], np.array(row["bank"], np.float64).reshape(-1, columns))


def losers(bank: Bank, rule: Rule) -> tuple[int, list[int]]:
    """The best candidate, and those that it is to be preferred to. A score that is the same is no preference; of equal
    ones the earlier candidate is the best, and the first to lose."""
    scores = bank.scores[:, rule.column]
    best = int(scores.argmax())
    behind = scores[best] - scores
    fitting = np.flatnonzero((behind > 0) & (behind >= rule.margin))
    if rule.against == "worst":
        order = np.argsort(scores[fitting], kind="stable")
    else:
        order = np.random.default_rng([rule.seed, bank.image]).random(len(scores))[fitting].argsort(kind="stable")
    return best, fitting[order[: rule.pairs]].tolist()


def pair_lines(banks: Iterable[Bank], source: Source, rule: Rule) -> Iterator[dict[str, Any]]:
    """One line a pair."""
    for bank in banks:
        winner, behind = losers(bank, rule)
        for loser in behind:
            line = source.asked(bank) | {"verifier": source.columns[rule.column]}
            for name, candidate in (("winner", winner), ("loser", loser)):
                line |= {name: candidate, f"{name}_address": [bank.image, candidate]}
                line |= {f"{name}_scores": source.scores(bank, candidate)}
            yield line | {"difference": float(bank.scores[winner, rule.column] - bank.scores[loser, rule.column])}


def bank_lines(banks: Iterable[Bank], source: Source) -> Iterator[dict[str, Any]]:
    """One line a candidate."""
    for bank in banks:
        for candidate in range(len(bank.scores)):
            line = source.asked(bank) | {"candidate": candidate, "address": [bank.image, candidate]}
            yield line | {"scores": source.scores(bank, candidate)}


def write_lines(path: Path, lines: Iterable[dict[str, Any]]) -> int:
    """Write JSONL, whole or not at all, in ASCII, as other characters end a line for some readers; returns how many
    lines there are."""
    count = 0
    with replacing(path) as temporary, temporary.open("w", encoding="ascii") as file:
        for line in lines:
            file.write(json.dumps(line, allow_nan=False) + "\n")
            count += 1
    return count
