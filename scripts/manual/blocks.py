"""The fenced blocks of the manual's pages: what they hold, and which of them are run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

RUNNABLE = r"^(```(?:bash|python))[ \t]+runnable\b"  # the mark, which is taken away before a page is shown
FENCE = re.compile(r"^```(?P<language>[a-z]*)(?P<marks>[^\n]*)\n(?P<text>.*?)^```$", re.M | re.S)


class Block(NamedTuple):
    """title: of the file that the block is, "" where it is none; line: of the page, from 1."""

    language: str
    runnable: bool
    title: str
    text: str
    line: int


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in FENCE.finditer(text):
        title = re.search(r'title="([^"]*)"', found["marks"])
        line = text.count("\n", 0, found.start()) + 1
        runnable = "runnable" in found["marks"].split()
        yield Block(found["language"], runnable, title[1] if title else "", found["text"], line)
