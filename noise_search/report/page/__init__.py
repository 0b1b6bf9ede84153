"""The style and the script of every page, which are written into it: a page needs no other file and no network."""

from importlib.resources import files


def asset(name: str) -> str:
    """The text of a file beside this one: page.css or page.js."""
    return (files(__name__) / name).read_text()
