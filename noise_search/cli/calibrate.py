"""`noise-search calibrate`: which drafts rank candidates as the full model does, and what they cost."""

import logging
import shlex
from pathlib import Path

from noise_search.cli.main import USAGE
from noise_search.configuration.compose import composed
from noise_search.errors import Refused
from noise_search.report.capture_page import page, write
from noise_search.run.capture import calibrate, in_full, refuse
from noise_search.run.description import describe

DRAFTS = (  # that are tried where none are named; those that do not fit are told and left out
    "none",
    *(f"steps draft.nfe={nfe}" for nfe in (1, 2, 3, 4, 6)),
    *(f"early draft.steps={steps} draft.time={time}" for steps, time in ((10, 0.4), (10, 0.6), (6, 0.5))),
    *(f"cache draft.every={every} draft.order={order}" for every, order in ((2, 0), (2, 1), (3, 1))),
    "cache draft.every=2 budget.search_nfe=6",
    "cache draft.every=null draft.threshold=0.1 draft.order=0",
    *(f"cfg draft.every={every}" for every in (2, 4)),
    "small",
    "small budget.search_nfe=4",
)


OWN = {"candidates": "16", "drafts": ";".join(DRAFTS), "into": ""}  # the command's options; all others are a run's


def command(arguments: list[str]) -> int:
    """arguments: overrides as of a run, and candidates=, drafts="one; another", into=."""
    options, overrides = dict(OWN), []
    for word in arguments:
        name, _, value = word.partition("=")
        if name in options:
            options[name] = value
        else:
            overrides.append(word)
    if not options["into"] or not options["candidates"].isdigit():
        raise Refused(f"usage: {USAGE['calibrate']}")
    base = [*(word for word in overrides if not word.startswith("images=")), "logger=none"]
    images = [word for word in overrides if word.startswith("images=")] or ["images=100"]
    into, drafts = Path(options["into"]), {}
    for name in filter(None, map(str.strip, options["drafts"].split(";"))):
        try:
            drafts[name] = describe(*composed([*base, *images, *shlex.split(f"draft={name}")]))
        except Refused as error:
            if options["drafts"] != OWN["drafts"]:
                raise
            print(f"not tried: {error}")
    if not drafts:
        raise Refused(f"drafts={options['drafts']}: none of them")
    full = in_full(describe(*composed([*base, *images, "draft=none"])))
    refuse(full, full.settings.images, int(options["candidates"]))
    into.mkdir(parents=True, exist_ok=True)
    logging.getLogger("noise_search").setLevel(logging.INFO)
    found = calibrate(full, drafts, full.settings.images, int(options["candidates"]), into)
    write(found, into)
    print(page(found))
    return 0
