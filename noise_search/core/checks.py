"""What is asked of a value that a user gave."""

from typing import Any, TypeGuard


def whole(value: Any) -> TypeGuard[int]:
    """Is it an integer (True and False are not)?"""
    return isinstance(value, int) and not isinstance(value, bool)
