"""Of mkdocs: adds the pages that are made from the package, and shows runnable blocks as what they are."""

from __future__ import annotations

import re
from typing import Any

from mkdocs.structure.files import File, Files

from scripts.manual import reference
from scripts.manual.blocks import RUNNABLE
from scripts.manual.configuration import configuration_page


def on_files(files: Files, config: Any) -> Files:
    pages = {
        "command": reference.command_page(),
        "configuration": configuration_page(),
        "library": reference.library_page(),
        "interfaces": reference.interfaces_page(),
        "embedded-model": (reference.ROOT / "noise_search/assets/ASSETS.md").read_text(),
        "changes": (reference.ROOT / "CHANGELOG.md").read_text(),
    }
    for name, content in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    return re.sub(RUNNABLE, r"\1", markdown, flags=re.M)
