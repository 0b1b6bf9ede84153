"""Errors as one clear line: what was wrong, what is allowed, exit code 1; the traceback only with HYDRA_FULL_ERROR=1."""

import difflib
import os
import re
import sys
from collections.abc import Callable

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

KEYS = ("images", "seed", "cfg_scale", "batch_size", "device", "plan_only")
GROUPS = ("model", "dataset", "verifier", "algorithm", "budget", "metrics", "logger", "experiment")
SHOWN = (ValueError, TypeError, OSError, RuntimeError, HydraException, OmegaConfBaseException)


def explain(error: BaseException) -> str:
    """The error in one line, with the nearest known name where a key is unknown."""
    text = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    cause = error.__cause__
    if isinstance(error, HydraException) and cause is not None and str(cause) not in text:
        text += " " + re.sub(r"\s+", " ", str(cause))
    text = text.replace("To append to your config use ", "to add a new key: ")
    unknown = re.search(r"Could not override '([^']+)'", text)
    if unknown:
        name = unknown.group(1)
        near = difflib.get_close_matches(name.split(".")[0].split("@")[0], (*KEYS, *GROUPS), 1)
        text = f"unknown option {name!r}" + (f", did you mean {near[0]!r}?" if near else "")
        text += f" Top-level keys: {', '.join(KEYS)}; groups: {', '.join(GROUPS)}"
    return text


def refuse_numbers_for_groups(arguments: list[str]) -> None:
    """`budget=1000` would select a file named 1000: say what was meant."""
    for argument in arguments:
        match = re.fullmatch(r"budget=\[?([0-9][0-9_, ]*)\]?", argument)
        if match:
            raise ValueError(f"{argument}: budget is a group (demo, paper); totals go in budget.nfe=[{match.group(1)}]")


def run_cleanly(main: Callable[[], None]) -> int:
    """Run a Hydra application; returns its exit code."""
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        main()
        return 0
    os.environ["HYDRA_FULL_ERROR"] = "1"  # so that errors arrive here whole, to be told in one line
    try:
        refuse_numbers_for_groups(sys.argv[1:])
        main()
    except SHOWN as error:
        print(f"error: {explain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: the same command goes on from what is finished", file=sys.stderr)
        return 130
    return 0
