"""Errors: what was refused on purpose is told in one line, with exit code 1; of what nobody foresaw, the traceback.

HYDRA_FULL_ERROR=1 shows where a refusal came from, too.
"""

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from noise_search.configuration.compose import refuse_values_for_groups
from noise_search.configuration.told import explain
from noise_search.errors import Refused

READING = (HydraException, OmegaConfBaseException)  # what reading a configuration raises: it was refused
READERS = ("hydra", "omegaconf", "antlr4")  # packages that read a configuration
TRACEBACKS = os.environ.get("HYDRA_FULL_ERROR") == "1"  # asked for by the user
DISK = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
UNFORESEEN = "This was not foreseen: it is a bug in noise_search, or in a plug-in. The traceback above says where."


def refused(error: Exception) -> bool:
    """Was it raised on purpose, by Hydra over a configuration, or by a disk that is full or may not be written?"""
    if isinstance(error, OSError) and error.errno in DISK:
        return True
    return isinstance(error, (Refused, *READING)) or raised_in(error) in READERS


def raised_in(error: Exception) -> str:
    """The package that an error comes from."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals.get("__name__", "")).split(".")[0] if trace is not None else ""


def tell(error: Exception) -> None:
    if isinstance(error, BrokenPipeError):  # who read what is printed has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    elif refused(error) and not TRACEBACKS:
        print(f"error: {explain(error)}", file=sys.stderr)
    elif raised_in(error) == "submitit" and not TRACEBACKS:
        print(f"error: {error}", file=sys.stderr)  # of a job elsewhere, with its own traceback inside
    else:
        traceback.print_exception(error)
        if not refused(error):
            print(UNFORESEEN, file=sys.stderr)


@contextmanager
def told_errors() -> Iterator[None]:
    """Around the body of a job: a single run ends with exit code 1; a sweep's hands its error to the launcher."""
    try:
        yield
    except Exception as error:
        if HydraConfig.get().mode == RunMode.MULTIRUN:
            raise
        tell(error)
        raise SystemExit(1) from None


def run_cleanly(main: Callable[[], int | None]) -> int:
    """Run a Hydra application, or another that returns its exit code; returns the exit code."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a polite kill ends a run as Ctrl-C does
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that Hydra's own errors arrive here whole, to be told in one line
    try:
        refuse_values_for_groups(sys.argv[1:])
        code = main() or 0
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        print("stopped: the same command goes on from what is finished", file=sys.stderr)
        return 130
    except Exception as error:
        tell(error)
        return 1
