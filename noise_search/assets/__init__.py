"""Files that come inside the package; ASSETS.md beside them says what they are."""

from pathlib import Path

from noise_search.errors import MissingFile

FOLDER = Path(__file__).parent


def asset(name: str) -> Path:
    """The path of a shipped file."""
    path = FOLDER / name
    if not path.is_file():
        raise MissingFile(f"{path} is missing: it comes with the package; install it again")
    return path
