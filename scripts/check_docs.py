"""Checks the docs: links, commands, and that what is marked as runnable runs (on the toy, in about a minute).

python scripts/check_docs.py            # all of it, as `make docs` does
python scripts/check_docs.py --quick    # without running anything
python scripts/check_docs.py docs/quickstart.md   # one page

Links between pages are mkdocs' to check (`mkdocs build --strict`); here are those of README.md and its like, and that
addresses elsewhere are well-formed. The built site, where it is there, must fetch nothing from elsewhere.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from urllib.parse import urlparse

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from scripts.manual.blocks import blocks  # noqa: E402
from scripts.manual.commands import commands, wrong_with  # noqa: E402
from scripts.manual.running import run_page  # noqa: E402

BESIDE = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "noise_search/assets/ASSETS.md", "examples/plugin/README.md")
FETCHES = (
    r'<(?:script|img|iframe|source)[^>]*\ssrc="?(?:https?:)?//'
    r'|<link[^>]*(?:stylesheet|icon|preload|preconnect)[^>]*href="?(?:https?:)?//'
)


def wrong_links(page: Path) -> list[str]:
    """Links to files that are not there, and addresses that are none."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    out = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text):
        address = urlparse(link)
        if address.scheme:
            if address.scheme != "https" or "." not in address.netloc:
                out.append(f"{link}: no address")
        elif address.path and not generated(page, address.path) and not (page.parent / address.path).exists():
            out.append(f"{link}: there is no such file")
    return out


def without_place() -> list[str]:
    """Pages that the manual's navigation lacks; mkdocs calls that a warning, which ends its build."""
    settings = (ROOT / "mkdocs.yml").read_text()
    pages = [str(page.relative_to(ROOT / "docs")) for page in sorted((ROOT / "docs").rglob("*.md"))]
    return [f"docs/{page}: give it a place in mkdocs.yml" for page in pages if not re.search(rf"\s{page}\n", settings)]


def generated(page: Path, path: str) -> bool:
    """A page that is made when the manual is built; mkdocs checks that it is there."""
    return (page.parent / path).resolve().parent == ROOT / "docs/reference"


def wrong_commands(page: Path) -> list[str]:
    out = []
    for block in blocks(page):
        if block.language in ("bash", "") and not block.runnable:
            for words in commands(block):
                if wrong := wrong_with(words):
                    out.append(f"line {block.line}: `{' '.join(words)}`: {wrong}")
    return out


def main(arguments: list[str]) -> int:
    named = [ROOT / word for word in arguments if not word.startswith("-")]
    pages = named or [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in BESIDE)]
    wrong = [f"{page.relative_to(ROOT)}: {what}" for page in pages for what in wrong_links(page) + wrong_commands(page)]
    wrong += [] if named else without_place()
    for site in sorted((ROOT / "build/manual").rglob("*.html")):
        if found := re.search(FETCHES, site.read_text()):
            wrong.append(f"{site.relative_to(ROOT)}: fetches from elsewhere: {found[0]}")
    print("\n".join(wrong) or f"{len(pages)} pages: links and commands are right")
    if not wrong and "--quick" not in arguments:
        for page in pages:
            if seconds := run_page(page):
                print(f"{page.relative_to(ROOT)}: ran in {seconds:.0f} s", flush=True)
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
