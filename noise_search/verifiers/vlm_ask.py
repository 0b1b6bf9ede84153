"""Asking a vision-language model until its answer can be read, and never twice the same."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from noise_search.core.verifier import Candidates
from noise_search.errors import Refused
from noise_search.storage.cache_folder import digest
from noise_search.verifiers.vlm_model import Unreadable, VisionLanguageModel
from noise_search.verifiers.vlm_questions import question, read_better, read_marks

log = logging.getLogger("noise_search")
Found = TypeVar("Found")


class Shown(NamedTuple):
    """A candidate as it is shown: the text that it was made for, and the image, a PNG file."""

    text: str
    image: bytes


def shown(candidates: Candidates) -> list[Shown]:
    """All B * K of them."""
    from PIL import Image

    from noise_search.core.images import tensor_to_images

    b, k = candidates.images.shape[:2]
    if len(candidates.texts) != b:
        raise Refused(f"a grader needs the text of every image: {len(candidates.texts)} texts of {b} images")
    out = []
    for number, pixels in enumerate(tensor_to_images(candidates.images.detach().flatten(0, 1))):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
        out.append(Shown(candidates.texts[number // k], file.getvalue()))
    return out


@dataclass(eq=False)
class Asker:
    """model, loaded; ask: a name of QUESTIONS; retries: of an answer that cannot be read; who: asks, for messages.

    asked, malformed: questions that went out so far, and answers among them that could not be read.
    """

    model: VisionLanguageModel
    ask: str
    retries: int
    who: str
    asked: int = 0
    malformed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, text: str, *images: bytes) -> dict[str, float]:
        """What was answered, now or whenever the same was asked before: the marks, {"yes": ...} or {"better": ...}."""
        from noise_search.storage.cache import kept_numbers

        key = digest("grader", self.model.identity, self.ask, question(self.ask, text), *images)
        return kept_numbers("answer", key, lambda: self.insist(text, images))

    def insist(self, text: str, images: Sequence[bytes]) -> dict[str, float]:
        """The first answer that can be read; nothing is kept of the others."""
        why = ""
        for count in range(1, self.retries + 2):
            with self.lock:
                self.asked += 1
            try:
                return self.once(question(self.ask, text, count), images)
            except Unreadable as error:
                why = str(error)
                with self.lock:
                    self.malformed += 1
                    told = f"{self.malformed} of {self.asked} answers cannot be read"
                log.warning("%s: %s, the last: %s", self.who, told, why)
        raise Refused(
            f"verifier {self.who}: {self.retries + 1} answers to one question cannot be read, {self.malformed} of"
            f" {self.asked} in all; the last: {why}. Its images are not written: run again, or take another model"
        )

    def once(self, words: str, images: Sequence[bytes]) -> dict[str, float]:
        if self.ask == "yes":
            return {"yes": self.model.log_yes(words, images)}
        return (read_marks if self.ask == "rubric" else read_better)(self.model.answer(words, images))


def side_by_side(calls: Sequence[Callable[[], Found]], workers: int) -> list[Found]:
    """Their results in order; after the first error nothing more is begun."""
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()
