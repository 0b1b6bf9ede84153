"""What a user can mend is refused: told in one line, with what is allowed. Every other error is a bug of the program or
of a plug-in, and shows where it happened (cli/one_line.py)."""

from __future__ import annotations

from typing import Any


class Refused(ValueError):
    """Raised on purpose: its message says what was wrong and what is allowed."""


class BadSetting(Refused):
    """A setting by its name, as a part knows it; `run.instantiate.build` puts the part's own key before it."""

    def __init__(self, name: str, value: Any, allowed: str) -> None:
        super().__init__(f"{name}={value}: {allowed}")
        self.name, self.value, self.allowed = name, value, allowed

    def __reduce__(self) -> tuple[type, tuple[str, Any, str]]:  # launchers hand errors on as pickles
        return type(self), (self.name, self.value, self.allowed)


class MissingFile(Refused, FileNotFoundError):
    """A file that was named, or that comes with the package, is not there."""
