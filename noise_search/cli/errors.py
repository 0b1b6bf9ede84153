"""Errors in one line: what was wrong, what is allowed, exit code 1; a traceback only with HYDRA_FULL_ERROR=1."""

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

from noise_search.errors import Refused
from noise_search.run.told import explain

SHOWN = (ValueError, TypeError, OSError, RuntimeError, HydraException, OmegaConfBaseException)
TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"  # asked for by the user


def refuse_numbers_for_groups(arguments: list[str]) -> None:
    """`budget=1000` would select a file named 1000: say what was meant."""
    for argument in arguments:
        match = re.fullmatch(r"budget=\[?([0-9][0-9_, ]*)\]?", argument)
        if match:
            totals = f"budget.nfe=[{match.group(1)}]"
            raise Refused(f"{argument}: budget is a group (demo, paper, results); totals go in {totals}")


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
