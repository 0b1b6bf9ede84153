"""Where what is made once is kept, and by which names; torch is not needed."""

import hashlib
import os
from pathlib import Path


def folder() -> Path:
    """$NOISE_SEARCH_CACHE, else ~/.cache/noise_search."""
    return Path(os.environ.get("NOISE_SEARCH_CACHE") or Path.home() / ".cache" / "noise_search")


def digest(*parts: str | bytes) -> str:
    """sha256 over the parts, in hexadecimal."""
    out = hashlib.sha256()
    for part in parts:
        out.update(part.encode() if isinstance(part, str) else part)
        out.update(b"\0")
    return out.hexdigest()
