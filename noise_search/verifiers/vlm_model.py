"""What a grader asks: any model that looks at images, reads a question and answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from noise_search.core.source import Source


class Unreadable(ValueError):
    """An answer that is not what was asked for; the question is asked again."""


class VisionLanguageModel(ABC):
    """name: as in tables. weights: what it answers by, known once it is loaded; with `identity` a part of every kept
    answer's key. at_once: questions that it answers side by side. sources, weight_bytes: as of `ModelSettings`."""

    name: str = ""
    identity: str = ""
    weights: Mapping[str, str] = MappingProxyType({})
    at_once: int = 1
    sources: Sequence[Source] = ()
    weight_bytes: int | None = None

    @abstractmethod
    def load(self, device: str) -> None:
        """Make ready to answer."""

    @abstractmethod
    def answer(self, question: str, images: Sequence[bytes]) -> str:
        """What it says; images: PNG files, in the order in which the question speaks of them."""

    @abstractmethod
    def log_yes(self, question: str, images: Sequence[bytes]) -> float:
        """Natural logarithm of the probability that its answer begins with "yes"."""
