"""Are the commands that the docs show possible? Each is read as the program would read it; runs are planned."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from noise_search.cli.calibrate import OWN
from noise_search.cli.main import OPTIONS
from noise_search.configuration.compose import composed, own_hydra
from noise_search.configuration.told import explain
from noise_search.errors import MissingFile
from noise_search.run.description import describe
from scripts.manual.blocks import Block

ROOT = Path(__file__).parents[2]
NOT_OURS = ("pip", "uv", "python3", "wait", "hf", "noise-search help", "noise-search doctor")  # as they stand
OURS = ("python", "noise-search", "torchrun", "srun", "make")  # what a block without a language is looked through for


def commands(block: Block) -> Iterator[list[str]]:
    """The words of every command of a block; where it names no language, of lines that begin with a program of ours."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if not block.language and line.split()[:1] not in [[name] for name in OURS]:
            continue
        for part in re.split(r" && |&\s*$", line.split(" # ")[0]):
            if words := shlex.split(part, comments=True):
                yield words


def wrong_with(words: Sequence[str]) -> str:
    """What is wrong with a command; "" where nothing is."""
    line = " ".join(words)
    if words[0] == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M)
        return "" if words[1] in targets else f"make has no {words[1]}"
    if "run.py" in words:
        return wrong_with_run(words[words.index("run.py") + 1 :])
    if words[0] == "python" and words[1].startswith("scripts/"):
        return "" if (ROOT / words[1]).is_file() else f"there is no {words[1]}"
    if words[:2] == ["python", "-m"] and words[2].startswith("scripts."):
        path = ROOT / f"{words[2].replace('.', '/')}.py"
        return "" if path.is_file() else f"there is no {words[2]}"
    if words[0] == "noise-search" and len(words) > 1 and "=" in words[1]:
        return wrong_with_run(words[1:])
    if words[0] == "noise-search" and words[1] == "prefetch":
        return wrong_with_run(words[2:])
    if words[0] == "noise-search" and words[1] == "calibrate":
        return wrong_with_run([word for word in words[2:] if word.split("=")[0] not in OWN])
    if words[0] == "noise-search" and words[1] in OPTIONS:
        known = OPTIONS[words[1]][2]
        unknown = {word.split("=")[0] for word in words[2:] if "=" in word} - known
        return f"noise-search {words[1]} has no {', '.join(sorted(unknown))}" if unknown else ""
    return "" if line.startswith(NOT_OURS) else "an unknown program"


def wrong_with_run(words: Sequence[str]) -> str:
    """Does a run's configuration compose to a plan? Of a sweep, its first job."""
    overrides = [first_of(word) for word in words if not word.startswith("-")]
    try:
        with own_hydra():
            describe(*composed(overrides))
    except MissingFile:
        return ""  # the reader's own, or fetched
    except Exception as error:
        return explain(error)
    return ""


def first_of(word: str) -> str:
    """key=a,b,c -> key=a."""
    override = OverridesParser.create().parse_override(word)
    if not override.is_sweep_override():
        return word
    return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"
