"""Calibrations in the cache folder, read and written without torch."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noise_search.core.rates import Rates
from noise_search.run.settings import result_settings
from noise_search.storage.atomic import write_text
from noise_search.storage.cache_folder import digest, folder

if TYPE_CHECKING:
    from noise_search.run.description import Description

TIMED = ("model", "verifier", "observers", "metrics", "more_metrics")  # settings that decide on a rate


def timed_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    settings = result_settings(config)
    return {name: settings.get(name) for name in TIMED}


def path_of(*key: Any) -> Path:
    """key: all that rates depend on, plain."""
    return folder() / f"rates-{digest(json.dumps(key, sort_keys=True))[:32]}.json"


def latest_path(run: Description) -> Path:
    """Of the last calibration on this machine of parts with these settings, whatever the device and the batch size."""
    machine = platform.node(), os.environ.get("OMP_NUM_THREADS")
    return path_of("latest", machine, timed_settings(run.config), run.guidance.rows)


def latest(run: Description) -> Rates | None:
    return read_rates(latest_path(run))


def read_rates(path: Path) -> Rates | None:
    """None where there is no such file, or a damaged one."""
    with suppress(OSError, ValueError, TypeError):
        return Rates(**json.loads(path.read_text()))
    return None


def keep(rates: Rates, *paths: Path) -> None:
    """Where nothing can be written, nothing is kept."""
    with suppress(OSError):
        for path in paths:
            write_text(path, json.dumps(asdict(rates), indent=2) + "\n")
