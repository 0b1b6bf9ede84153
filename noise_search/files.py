"""Small file operations that need no heavy library: atomic writes and checksums."""

import hashlib
import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Write by temporary name and rename, so that nobody reads half a file."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.partial")
    temporary.write_text(text)
    os.replace(temporary, path)


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with Path(path).open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
