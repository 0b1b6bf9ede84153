"""Functions and classes with their docstrings as Markdown: read from the source, nothing is imported."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path


def escaped(text: str) -> str:
    """Words as Markdown that shows them as they stand; code between backticks stays."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if i % 2 else re.sub(r"([\\*_<>\[\]#|{}])", r"\\\1", part) for i, part in enumerate(parts))


def prose(docstring: str, names: Sequence[str] = ()) -> str:
    """A docstring as Markdown: its paragraphs, a list of those of `names` that a sentence begins with, `name: ...`, and
    what is indented as code."""
    out = []
    one = "|".join(map(re.escape, names)) or "(?!)"
    lead = rf"(?:{one})(?:, (?:{one}))*"
    for paragraph in re.split(r"\n\s*\n", docstring.strip()):
        if all(line.startswith("    ") for line in paragraph.splitlines()):
            out.append(f"```text\n{paragraph}\n```")
            continue
        for sentence in re.split(rf"(?<=\.) (?={lead}: )", " ".join(paragraph.split())):
            name, colon, rest = sentence.partition(": ")
            named = colon and re.fullmatch(lead, name)
            out.append(f"- **{escaped(name)}**: {escaped(rest)}" if named else escaped(sentence))
    return "\n\n".join(out)


def signature(node: ast.FunctionDef) -> str:
    """`name(...) -> ...`, an argument a line where one line would be long; without self."""
    arguments = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(node.args))
    arguments = re.sub(r"(: [^=]+?)=", r"\1 = ", arguments)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    line = f"{node.name}({arguments}){returns}"
    if len(line) <= 90:
        return line
    listed = re.sub(r", (?=\*|\w+: )", ",\n    ", arguments)
    return f"{node.name}(\n    {listed},\n){returns}"


def fields(node: ast.ClassDef) -> list[str]:
    parts = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    return [ast.unparse(part) for part in parts if not ast.unparse(part.target).startswith("_")]


def names_in(node: ast.FunctionDef | ast.ClassDef) -> list[str]:
    """Of a function's arguments; of a class's fields and properties, and of what it is made with."""
    if isinstance(node, ast.FunctionDef):
        return [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    made = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    inside = [name for part in made if part.name == "__init__" for name in names_in(part)]
    return [field.split(":")[0] for field in fields(node)] + [part.name for part in made] + inside


def method(node: ast.FunctionDef) -> str:
    """A method with what its docstring says, or nothing."""
    text = ast.get_docstring(node)
    if not text or node.name.startswith("_"):
        return ""
    marks = {ast.unparse(mark) for mark in node.decorator_list}
    returns = f": {ast.unparse(node.returns)}" if node.returns else ""
    shown = node.name + returns if marks & {"property", "cached_property"} else signature(node)
    return f"\n```python\n{shown}\n```\n\n{prose(text, names_in(node))}\n"


def documented(node: ast.FunctionDef | ast.ClassDef, module: str, level: str) -> str:
    """A function or class under a heading; a class with its fields, and its methods that have a docstring."""
    where = f"`noise_search.{module.removesuffix('.py').replace('/', '.')}.{node.name}`"
    said = prose(ast.get_docstring(node) or "", names_in(node))
    if isinstance(node, ast.FunctionDef):
        return f"{level} {node.name}\n\n{where}\n\n```python\n{signature(node)}\n```\n\n{said}\n"
    bases = ", ".join(map(ast.unparse, node.bases))
    head = [f"class {node.name}({bases}):" if bases else f"class {node.name}:", *(f"    {f}" for f in fields(node))]
    methods = "".join(method(part) for part in node.body if isinstance(part, ast.FunctionDef))
    code = "\n".join(head)
    return f"{level} {node.name}\n\n{where}\n\n```python\n{code}\n```\n\n{said}\n{methods}"


def of_modules(root: Path, chosen: dict[str, tuple[str, ...]], level: str) -> str:
    """The named functions and classes of modules of noise_search; one that is not there any more is an error."""
    out = []
    for module, wanted in chosen.items():
        tree = ast.parse((root / "noise_search" / module).read_text())
        found = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        out += [documented(found[name], module, level) for name in wanted]
    return "\n".join(out)
