"""Errors in one line: what was wrong, what is allowed, exit code 1; a traceback only with HYDRA_FULL_ERROR=1."""

import difflib
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from noise_search.run.settings import GROUPS as RESULT_GROUPS
from noise_search.run.settings import Settings

KEYS = (*Settings.__dataclass_fields__, "observers", "more_metrics")
GROUPS = (*RESULT_GROUPS, "logger", "experiment")
SHOWN = (ValueError, TypeError, OSError, RuntimeError, HydraException, OmegaConfBaseException)
TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"  # asked for by the user


def explain(error: BaseException) -> str:
    """The error in one line, with the nearest known name where a key is unknown."""
    text = str(error)
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f"{error.filename}: {error.strerror}"
        if isinstance(error, PermissionError | NotADirectoryError | FileExistsError):
            text += "; choose a folder that can be written, hydra.run.dir=..."
    cause = error.__cause__
    if isinstance(error, HydraException) and cause is not None and str(cause) not in text:
        text += f" {cause}"
    text = re.sub(r"\s+", " ", text.split("Config search path:")[0]).strip() or type(error).__name__
    text = text.removeprefix("In 'config': ")
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown and unknown.group(1).split(".")[0] in GROUPS and "." in unknown.group(1):
        group, key = unknown.group(1).split(".", 1)
        text = f"unknown option {unknown.group(1)!r}: {group} has no {key!r}; see configs/{group}/"
    elif unknown:
        name = unknown.group(1)
        near = difflib.get_close_matches(name.split(".")[0].split("@")[0], (*KEYS, *GROUPS), 1)
        text = f"unknown option {name!r}" + (f"; did you mean {near[0]!r}?" if near and near[0] != name else ".")
        text += f" Top-level keys: {', '.join(KEYS)}; groups: {', '.join(GROUPS)}"
    return text


def refuse_numbers_for_groups(arguments: list[str]) -> None:
    """`budget=1000` would select a file named 1000: say what was meant."""
    for argument in arguments:
        match = re.fullmatch(r"budget=\[?([0-9][0-9_, ]*)\]?", argument)
        if match:
            totals = f"budget.nfe=[{match.group(1)}]"
            raise ValueError(f"{argument}: budget is a group (demo, paper, results); totals go in {totals}")


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Around the body of a job: a single run ends with one line; a job of a sweep hands its error to the launcher."""
    try:
        yield
    except SHOWN as error:
        if TRACEBACKS or HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        print(f"error: {explain(error)}", file=sys.stderr)
        raise SystemExit(1) from None


def run_cleanly(main: Callable[[], int | None]) -> int:
    """Run a Hydra application, or another that returns its exit code; returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill ends a run as Ctrl-C does
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra's own errors arrive here whole, to be told in one line
    try:
        refuse_numbers_for_groups(sys.argv[1:])
        return main() or 0
    except KeyboardInterrupt:
        print("stopped: the same command goes on from what is finished", file=sys.stderr)
        return 130
    except SHOWN as error:
        if TRACEBACKS:
            raise
        print(f"error: {explain(error)}", file=sys.stderr)
        return 1
    return 0
