"""Functions and classes with their docstrings as Markdown: read from the source, nothing is imported."""

from __future__ import annotations

import ast
import re
from pathlib import Path


def escaped(text: str) -> str:
    """Words as Markdown that shows them as they stand; code between backticks stays."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if i % 2 else re.sub(r"([\\*_<>\[\]#|{}])", r"\\\1", part) for i, part in enumerate(parts))


def prose(docstring: str) -> str:
    """A docstring as Markdown: its paragraphs, a new one where a line begins with `name: `, and what is indented as
    code."""
    out = []
    for paragraph in re.split(r"\n\s*\n|\n(?=\w+(?:, \w+)*: )", docstring.strip()):
        code = all(line.startswith("    ") for line in paragraph.splitlines())
        out.append(f"```text\n{paragraph}\n```" if code else escaped(" ".join(paragraph.split())))
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


def method(node: ast.FunctionDef) -> str:
    """A method with what its docstring says, or nothing."""
    text = ast.get_docstring(node)
    if not text or node.name.startswith("_"):
        return ""
    marks = {ast.unparse(mark) for mark in node.decorator_list}
    returns = f": {ast.unparse(node.returns)}" if node.returns else ""
    shown = node.name + returns if marks & {"property", "cached_property"} else signature(node)
    return f"\n```python\n{shown}\n```\n\n{prose(text)}\n"


def documented(node: ast.FunctionDef | ast.ClassDef, module: str, level: str) -> str:
    """A function or class under a heading; a class with its fields, and its methods that have a docstring."""
    where = f"`noise_search.{module.removesuffix('.py').replace('/', '.')}.{node.name}`"
    said = prose(ast.get_docstring(node) or "")
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
