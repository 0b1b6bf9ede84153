"""Prompts from a file: text, CSV, TSV or JSONL, told apart by the end of its name."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from noise_search.errors import MissingFile, Refused
from noise_search.storage.fetched import refuse_changed

FORMS = (".txt", ".csv", ".tsv", ".jsonl")


class Prompts(NamedTuple):
    """texts, and the category of each; no categories: ()."""

    texts: tuple[str, ...]
    categories: tuple[str, ...] = ()


def read_prompts(path: Path, key: str, column: str = "prompt", category: str | None = None, hint: str = "") -> Prompts:
    """The prompts of a file, in its order; blank lines are passed over. A file that was fetched must be as it came.

    key: of the setting that names it. column, category: the columns of a table, or keys of JSON objects, upper or lower
    case; a text file has none. hint: what to do where there is no file.
    """
    if not path.is_file():
        raise MissingFile(f"{key}={path}: there is no such file{hint}")
    if path.suffix not in FORMS:
        raise Refused(f"{key}={path}: its name must end in one of {', '.join(FORMS)}")
    refuse_changed(path)
    return parsed(path, path.suffix, f"{key}={path}", column, category)


def parsed(path: Path, form: str, what: str, column: str = "prompt", category: str | None = None) -> Prompts:
    """As `read_prompts`. form: one of FORMS. what: the file, in messages."""
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(f"{what}: not a text in UTF-8") from error
    if form == ".txt":
        if category:
            raise Refused(f"{what}: a text file has no columns, and none of categories ({category!r})")
        found = Prompts(tuple(line.strip() for line in text.splitlines() if line.strip()))
    else:
        rows = list(objects(text, what) if form == ".jsonl" else table(text, form, what))
        wanted = (column, category) if category else (column,)
        cells = [[cell(row, name, f"{what}, line {line}") for line, row in rows] for name in wanted]
        found = Prompts(*map(tuple, cells))
    if not found.texts:
        raise Refused(f"{what}: holds no prompts")
    return found


def table(text: str, form: str, what: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, row) of CSV, or of TSV, where quotes stand for themselves."""
    lines = text.splitlines(keepends=True)
    reader = csv.reader(lines) if form == ".csv" else csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        names = next(reader, [])
        for row in reader:
            if any(map(str.strip, row)):
                yield reader.line_num, dict(zip(names, row, strict=False))
    except csv.Error as error:
        raise Refused(f"{what}, line {reader.line_num}: {error}") from error


def objects(text: str, what: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line, object) of JSONL."""
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            row = json.loads(content)
        except ValueError as error:
            raise Refused(f"{what}, line {line}: not JSON ({error})") from error
        if not isinstance(row, dict):
            raise Refused(f"{what}, line {line}: not an object")
        yield line, row


def cell(row: dict[str, Any], name: str, what: str) -> str:
    """A text of a row; it must be there."""
    value = {key.strip().lower(): value for key, value in row.items()}.get(name.lower())
    if value is None:
        raise Refused(f"{what}: no column {name!r}; there are {', '.join(row) or 'none'}")
    if not isinstance(value, str) or not value.strip():
        raise Refused(f"{what}: {name}={value!r}: a text that is not empty")
    return value.strip()
