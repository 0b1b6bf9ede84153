"""A run's bank of candidates for other programs: `noise-search export RUN as=pairs` and `as=bank`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noise_search.core.algorithm import Traceable
from noise_search.errors import Refused
from noise_search.run.description import Description
from noise_search.run.reopen import reopen
from noise_search.storage.atomic import write_text
from noise_search.storage.preferences import AGAINST, Rule, Source, bank_lines, banks_of, pair_lines, write_lines
from noise_search.storage.run_folder import finished_images, identity_of, read_json

PAIRS, BANK = "pairs", "bank"
FORMS = {PAIRS: ("verifier", "pairs", "against", "margin", "seed"), BANK: ()}  # and the options of each


def export_bank(run: Path, form: str, into: Path | None, options: Mapping[str, str]) -> int:
    """Write the pairs or all candidates of a finished run `into` a file of JSON lines, and beside it
    FILE.settings.json, from which addresses are made again."""
    if unknown := set(options) - set(FORMS[form]):
        raise Refused(f"as={form}: no option {min(unknown)}; there are {', '.join((*FORMS[form], 'into'))}")
    if into is None or into.is_dir():
        raise Refused(f"as={form}: into=FILE, {f'not the folder {into}' if into else 'where the lines go'}")
    described, images = with_bank(run)
    columns, point = list(described.columns), described.plan.purchases[-1].point
    source = Source(columns, described.dataset.texts, described.settings.seed, described.digest[:10])
    banks, settings = banks_of(run, point, images, len(columns)), remaking(run, described) | {"run": source.run}
    if form == BANK:
        count = write_lines(into, bank_lines(banks, source))
        said = f"{count:,} candidates of {images:,} images"
    else:
        rule = rule_of(run, described, options)
        settings["pairs"] = rule._asdict() | {"column": columns[rule.column]}
        count = write_lines(into, pair_lines(banks, source, rule))
        said = f"{count:,} pairs of {images:,} images by {columns[rule.column]}"
        if short := images * min(rule.pairs, point - 1) - count:
            said += f", {short:,} fewer than asked for: no others are apart by margin={rule.margin:g} or at all"
    told = into.with_suffix(".settings.json")
    write_text(told, json.dumps(settings, indent=2) + "\n")
    print(f"{into}: {said}\n{told}: what the candidates are made again with")
    return 0


def with_bank(run: Path) -> tuple[Description, int]:
    """A finished run that has kept the scores of all candidates, and how many images it has."""
    described = reopen(run)
    if not (finished := finished_images(run)):
        raise Refused(f"{run}: not a finished run; `noise-search status {run}` tells what is missing")
    if not read_json(run / "run.json").get("columns") or not isinstance(described.algorithm, Traceable):
        raise Refused(f"{run}: keeps no bank; that wants algorithm=random, and no verifier of the whole set")
    return described, finished[0]


def rule_of(run: Path, described: Description, options: Mapping[str, str]) -> Rule:
    """What `options` ask of pairs."""
    name, columns = options.get("verifier"), list(described.columns)
    if name is None and described.verifier.ranks_alone:
        name = columns[0]
    if name not in columns:
        choice = described.choices["verifier"]
        why = f"verifier={name}: {run} has no scores of it"
        if name in (None, choice):
            why = f"verifier={choice} ranks an image's candidates among themselves and scores none of them"
        raise Refused(f"as={PAIRS}: {why}; verifier= one of {', '.join(columns)}")
    against = options.get("against", AGAINST[0])
    if against not in AGAINST:
        raise Refused(f"against={against}: one of {', '.join(AGAINST)}")
    numbers = {key: whole_number(key, options.get(key, usual), least) for key, usual, least in WHOLE}
    return Rule(columns.index(name), numbers["pairs"], against, margin_of(options.get("margin", "0")), numbers["seed"])


WHOLE = (("pairs", "1", 1), ("seed", "0", 0))  # key, default, least


def whole_number(key: str, text: str, least: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text) < 2**63):
        raise Refused(f"{key}={text}: a whole number, at least {least}")
    return int(text)


def margin_of(text: str) -> float:
    try:
        margin = float(text)
    except ValueError:
        margin = math.nan
    if not (math.isfinite(margin) and margin >= 0):
        raise Refused(f"margin={text}: the least difference of two scores, a number of at least 0")
    return margin


def remaking(run: Path, described: Description) -> dict[str, Any]:
    """All that a candidate is made from, beside its address."""
    assert isinstance(described.algorithm, Traceable)
    identity, budget = identity_of(run), described.budget
    out: dict[str, Any] = {"choices": dict(described.choices)}
    out |= {"address": described.algorithm.address, "seed": described.settings.seed}
    out |= {"search_nfe": budget.search_nfe, "final_nfe": budget.final_nfe, "cfg_scale": described.settings.cfg_scale}
    out |= {"draft": described.config["draft"]}
    if described.algorithm.name == "random":  # core/noise.py; another package's algorithm may draw otherwise
        out["noise"] = {
            "shape": list(described.model.shape),
            "philox": {"key": ["seed", 0], "counter": [0, "image", "candidate", 0]},
        }
    kept = ("weights", "conditions", "plugins", "tuning")
    return out | {name: identity[name] for name in kept if name in identity} | {"config": dict(described.config)}
