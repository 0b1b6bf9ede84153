"""Where the files of a part come from. Every part says so in its `sources`; `noise-search prefetch` asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Check = Callable[[Path], object]  # of a file that was fetched, before it gets its name: refuses what it cannot be


@dataclass(frozen=True)
class Hub:
    """Files of a hub repository whose whole names match the regular expression `pattern`.

    target: the path that the one file is saved under, or, with a slash at its end, the folder that they go into under
    their own names. revision: a commit or branch; None: the newest. kind: "model" or "dataset".
    """

    repo: str
    pattern: str
    target: str
    revision: str | None = None
    kind: str = "model"
    check: Check | None = None


@dataclass(frozen=True)
class Url:
    """A file with an address of its own. target: the path it is saved under; "": the last part of the address.
    sha256: where its makers tell one; None: that of the first fetch is recorded, as for all."""

    url: str
    licence: str
    target: str = ""
    sha256: str | None = None
    check: Check | None = None


Source = Hub | Url
