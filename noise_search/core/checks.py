"""What is asked of a value that a user gave."""

import math
from collections.abc import Callable, Sequence
from numbers import Integral, Real
from typing import Any, TypeGuard

from noise_search.errors import BadSetting


def whole(value: Any) -> TypeGuard[int]:
    """Is it an integer (True and False are not)?"""
    return isinstance(value, Integral) and not isinstance(value, bool)


def finite(value: Any) -> TypeGuard[float]:
    """Is it a number, whole or not, neither infinite nor NaN (True and False are not)?"""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


PRECISIONS = ("float32", "bfloat16", "auto")  # of a network: bfloat16 is autocast; auto: the run's


def list_of(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, Sequence) and not isinstance(value, str) and all(map(fits, value))


KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {  # an annotation -> what fits it, in words too
    "int": (whole, "a whole number"),
    "float": (finite, "a number"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "str": (lambda value: isinstance(value, str), "a text"),
    "list[int]": (list_of(whole), "a list of whole numbers"),
    "list[str]": (list_of(lambda value: isinstance(value, str)), "a list of texts"),
    "None": (lambda value: value is None, "null"),
}


def allowed(annotation: Any, value: Any) -> str | None:
    """What may stand where `annotation` is, in words, if `value` is none of it; an annotation that is not only made of
    numbers, texts, truths and lists of them is left to the part itself."""
    kinds = getattr(annotation, "__name__", str(annotation)) if isinstance(annotation, type) else str(annotation)
    named = [KINDS.get(kind.strip()) for kind in kinds.split("|")]
    if any(kind is None for kind in named) or any(kind[0](value) for kind in named if kind):
        return None
    return " or ".join(kind[1] for kind in named if kind)


def require(name: str, value: Any, good: bool, allowed: str) -> None:
    """Refuse a setting of a part by its name."""
    if not good:
        raise BadSetting(name, value, allowed)


def require_precision(name: str, value: Any) -> None:
    require_one_of(name, value, PRECISIONS)


def require_one_of(name: str, value: Any, choices: Sequence[str]) -> None:
    require(name, value, value in choices, f"one of {', '.join(choices)}")
