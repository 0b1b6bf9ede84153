"""Prompts of any file, and what the published sets of prompts have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import overload

from noise_search.core.checks import require
from noise_search.core.dataset import Dataset
from noise_search.core.source import Url
from noise_search.errors import Refused
from noise_search.storage.prompt_file import FORMS, Prompts, parsed, read_prompts


def prompts(
    file: str | None, column: str = "prompt", category: str | None = None, classes: list[int] | None = None
) -> Dataset:
    """The prompts of a text file (one a line), CSV, TSV or JSONL, of its `column`. category: another one, whose values
    results are told by. classes: numbers of the prompts to cycle through. `images` times n: n images a prompt."""
    require("file", file, file is not None, f"a file of prompts, {', '.join(FORMS)}")
    found = read_prompts(Path(str(file)), "dataset.file", column, category)
    return Dataset("prompts", found.texts, classes, categories=found.categories)


@dataclass(frozen=True)
class Part:
    """One file of a published set. path: where it is, or goes; url: where it comes from; count: of its prompts; first:
    of them, None: not known; column, category: see `read_prompts`; named: the category of all of them."""

    path: Path
    url: str
    count: int
    first: str | None
    column: str = "prompt"
    category: str | None = None
    named: str | None = None

    def check(self, found: Prompts, what: str) -> Prompts:
        """Refuse what is not the published list."""
        if len(found.texts) != self.count:
            raise Refused(f"{what}: holds {len(found.texts)} prompts, the published list {self.count}")
        if self.first is not None and found.texts[0] != self.first:
            raise Refused(f"{what}: begins with {found.texts[0][:60]!r}, the published list with {self.first!r}")
        return found

    def fetched(self, path: Path) -> None:
        """Refuse a file that has come from `url` and is something else."""
        self.check(parsed(path, self.path.suffix, self.url, self.column, self.category), self.url)

    def read(self, key: str) -> Prompts:
        hint = "; `noise-search prefetch` with the same options fetches it"
        found = read_prompts(self.path, key, self.column, self.category, hint)
        self.check(found, f"{key}={self.path}")
        return found if self.named is None else Prompts(found.texts, (self.named,) * self.count)


def published(name: str, key: str, parts: Sequence[Part], licence: str, classes: list[int] | None) -> Dataset:
    """A published set of prompts; its files are read when their texts are wanted. key: of the setting that says where
    they are. classes: see `prompts`."""

    @cache
    def read() -> Prompts:
        found = [part.read(key) for part in parts]
        texts, categories = (tuple(text for one in found for text in one[i]) for i in range(2))
        return Prompts(texts, categories)

    count = sum(part.count for part in parts)
    sources = [Url(part.url, licence, str(part.path), check=part.fetched) for part in parts]
    texts, categories = Wanted(count, lambda: read().texts), Wanted(count, lambda: read().categories)
    return Dataset(name, texts, classes, categories=categories, sources=sources)


class Wanted(Sequence[str]):
    """Texts that are read from their files when they are wanted: a plan needs their number alone."""

    def __init__(self, size: int, read: Callable[[], Sequence[str]]) -> None:
        self.size, self.read = size, read

    @cached_property
    def values(self) -> Sequence[str]:
        return self.read()

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        return self.values[index]
