"""What is asked of a value that a user gave."""

import math
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeGuard


def whole(value: Any) -> TypeGuard[int]:
    """Is it an integer (True and False are not)?"""
    return isinstance(value, int) and not isinstance(value, bool)


def finite(value: Any) -> TypeGuard[float]:
    """Is it a number, whole or not, neither infinite nor NaN (True and False are not)?"""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {  # an annotation -> what fits it, in words too
    "int": (whole, "a whole number"),
    "float": (finite, "a number"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "str": (lambda value: isinstance(value, str), "a text"),
}


def refuse_types(part: Any, group: str) -> None:
    """Each field of a dataclass whose annotation is a number, a text or true/false must hold one; told by its key."""
    for field in fields(part):
        fits, allowed = KINDS.get(getattr(field.type, "__name__", str(field.type)), (None, ""))
        value = getattr(part, field.name)
        if fits and not fits(value):
            raise ValueError(f"{group}.{field.name}={value}: {allowed}")
