"""What making images has taken so far, and its progress for a person: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

from noise_search.core.stopwatch import STAGES


class Progress:
    """Counts NFE and finished images; shows images/s, NFE/s and the time left.

    images: how many there are to make. each: NFE that one is expected to take; corrected by what finished ones took.
    """

    def __init__(self, images: int, each: float, every: float = 15.0) -> None:
        self.expected, self.each, self.every = images, each, every
        self.nfe, self.images = 0, 0
        self.started = self.shown = time.monotonic()
        self.bar = tqdm(total=int(self.total), unit="NFE", unit_scale=True) if sys.stderr.isatty() else None

    @property
    def total(self) -> float:
        return self.expected * self.each

    def add(self, nfe: int, images: int = 0) -> None:
        self.nfe, self.images = self.nfe + nfe, self.images + images
        if images:
            self.each = self.nfe / self.images
        now = time.monotonic()
        rate, speed = self.images / (now - self.started), self.nfe / (now - self.started)
        if self.bar is not None:
            self.bar.total = int(self.total)
            self.bar.update(nfe)
            self.bar.set_postfix_str(f"{rate:.2f} images/s")
        elif now - self.shown > self.every:
            self.shown = now
            left = max(0.0, self.total - self.nfe) / speed if speed else float("inf")
            print(
                f"{min(1.0, self.nfe / self.total):4.0%}  {self.images} images finished  {rate:.2f} images/s  "
                f"{speed:.0f} NFE/s  {left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class Work:
    """images: how many were made; seconds: by stage, of the images that were searched for; progress: what is shown."""

    def __init__(self, progress: Progress | None = None) -> None:
        self.images, self.progress = 0, progress
        self.seconds = dict.fromkeys((*STAGES, "evaluate"), 0.0)

    def took(self, seconds: Mapping[str, float]) -> None:
        """seconds: by stage."""
        for stage, value in seconds.items():
            self.seconds[stage] += value

    def add(self, nfe: int, images: int = 0) -> None:
        if self.progress is not None:
            self.progress.add(nfe, images)

    def close(self) -> None:
        if self.progress is not None:
            self.progress.close()
