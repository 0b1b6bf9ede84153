"""A scorer in a process of its own, behind an address: for reward models that want other libraries than these."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from noise_search.core.checks import require, whole
from noise_search.core.verifier import Candidates, Surroundings, Verifier
from noise_search.errors import Refused
from noise_search.verifiers.remote import Remote

if TYPE_CHECKING:
    from torch import Tensor

READS = ("texts", "classes")


@dataclass(eq=False)
class Http(Verifier):
    """What a server says of images; docs/how-to/neighbours.md has what it is sent and must answer.

    url: asked by GET who it is, {"name", "version"}, which a run's folder belongs to, and by POST for scores; reads:
    what is sent beside the images. batch_size: images a request; key, timeout, tries, timeouts: as of `Remote`.
    Images are sent in 8 bits a channel. One that is not finite is not sent: its score is NaN.
    Errors: an answer that is no finite score for each image, or is somebody else's, ends the run in one line.
    """

    url: str
    reads: tuple[str, ...] = ("texts",)
    batch_size: int = 32
    key: str | None = None
    timeout: float = 60.0
    tries: int = 5
    timeouts: int = 20

    weight_bytes = 0  # here

    def __post_init__(self) -> None:
        self.host = Remote("verifier", self.url, self.key, self.timeout, self.tries, self.timeouts)
        listed = isinstance(self.reads, (list, tuple)) and all(word in READS for word in self.reads)
        require("reads", self.reads, listed, f"a list of some of {', '.join(READS)}, or []")
        some = whole(self.batch_size) and self.batch_size >= 1
        require("batch_size", self.batch_size, some, "a whole number of images, at least 1")
        self.reads, self.name = tuple(dict.fromkeys(self.reads)), f"scorer at {self.url}"

    def load(self, into: Surroundings) -> Http:
        self.host.open()
        self.who = identity(self.host.ask(), f"{self.host.where}: asked who it is")
        self.name = f"{self.who['name']} {self.who['version']} (over HTTP)"
        self.weights = {f"http:{self.who['name']}": self.who["version"]}
        return self

    def told(self) -> tuple[str, ...]:
        return (f"{self.host.where}: {self.host.told}",)

    def score(self, candidates: Candidates) -> Tensor:
        import torch

        from noise_search.core.images import tensor_to_images

        b, k = candidates.images.shape[:2]
        if "texts" in self.reads and len(candidates.texts) != b:
            raise Refused(f"verifier {self.name} reads texts: {len(candidates.texts)} of {b} images")
        images, which = candidates.images.detach().flatten(0, 1), np.arange(b * k) // k
        fine = images.isfinite().flatten(1).all(1).cpu().numpy()
        pixels, condition = tensor_to_images(images), candidates.condition.cpu().numpy()
        scores = np.full(b * k, np.nan, np.float32)
        for rows in np.split(fine.nonzero()[0], range(self.batch_size, fine.sum(), self.batch_size)):
            if not len(rows):
                continue
            sent = {"images": pixels[rows]}
            if "texts" in self.reads:
                sent["texts"] = np.array([candidates.texts[i] for i in which[rows]])
            if "classes" in self.reads:
                sent["classes"] = condition[which[rows]].astype(np.int64)
            scores[rows] = self.answer(sent)
        return torch.from_numpy(scores).view(b, k).to(candidates.images.device)

    def answer(self, sent: dict[str, np.ndarray]) -> np.ndarray:
        """float32 [N]: what it says of a batch."""
        body, count = io.BytesIO(), len(sent["images"])
        np.savez(body, **sent)  # type: ignore[arg-type]
        said = self.host.ask("", body.getvalue(), "application/x-npz")
        where = f"{self.host.where}: sent {count} images"
        if (now := identity(said, where)) != self.who:
            asked, here = (f"{who['name']} {who['version']}" for who in (self.who, now))
            raise Refused(f"{where}, {here} answers; at the start it was {asked}")
        return read_scores(said, count, where)


def read_object(said: bytes, where: str) -> dict[str, Any]:
    """where: what was asked of whom, for messages."""
    try:
        found = json.loads(said)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        shown = " ".join(said[:80].decode(errors="replace").split())
        raise Refused(f"{where}, it answers no JSON object: {shown!r}")
    return found


def identity(said: bytes, where: str) -> dict[str, str]:
    """The name and version in an answer."""
    found = read_object(said, where)
    for name in ("name", "version"):
        if not (isinstance(found.get(name), str) and found[name].strip() and found[name].isprintable()):
            raise Refused(
                f'{where}, its answer has no line of text "{name}": every one says {{"name": ..., "version": ...}}'
            )
    return {name: found[name] for name in ("name", "version")}


def read_scores(said: bytes, count: int, where: str) -> np.ndarray:
    """float32 [count], all finite."""
    listed = read_object(said, where).get("scores")
    if not isinstance(listed, list) or len(listed) != count:
        shown = f"{len(listed)} scores" if isinstance(listed, list) else f"scores={listed!r}"[:80]
        raise Refused(f'{where}, it answers {shown}: "scores" is a list of one number an image')
    for number, value in enumerate(listed):
        plain = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not plain or not -3e38 < value < 3e38:  # NaN is not between them
            raise Refused(f"{where}, score {number} is {str(value)[:40]}: a finite number, higher is better")
    return np.array(listed, dtype=np.float32)
