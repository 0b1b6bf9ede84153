"""Files that know when they are not as they were written: their last four bytes are the CRC-32 of all others."""

import logging
import zlib
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from noise_search.errors import Refused
from noise_search.storage.atomic import replacing

log = logging.getLogger("noise_search")


class Damaged(Refused):
    """A file was not what had been written. It has been set aside: its images have to be made again."""


def write_checked(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content + zlib.crc32(content).to_bytes(4, "little"))


def read_checked(path: Path) -> bytes:
    """What was written; a file that has changed since is set aside and told."""
    content = path.read_bytes()
    if zlib.crc32(content[:-4]).to_bytes(4, "little") != content[-4:]:
        set_aside(path)
    return content[:-4]


def set_aside(path: Path) -> NoReturn:
    """Rename a file that is not as it was written, so that nobody reads it again."""
    aside = path.with_suffix(".damaged")
    log.warning("%s is damaged; it is set aside as %s", path, aside.name)
    with suppress(FileNotFoundError):  # another worker was faster
        path.rename(aside)
    raise Damaged(f"{path} was damaged and is set aside: the same command makes its images again")
