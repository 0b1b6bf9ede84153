"""Progress for a person: a bar on a terminal, plain lines elsewhere."""

import sys
import time

from tqdm import tqdm


class Progress:
    """Counts NFE towards `total` and finished images; shows images/s, NFE/s and the time left."""

    def __init__(self, total: int, every: float = 15.0) -> None:
        self.total, self.nfe, self.images, self.every = total, 0, 0, every
        self.started = self.shown = time.monotonic()
        self.bar = tqdm(total=total, unit="NFE", unit_scale=True) if sys.stderr.isatty() else None

    def add(self, nfe: int, images: int = 0) -> None:
        self.nfe, self.images = self.nfe + nfe, self.images + images
        now = time.monotonic()
        rate = self.images / (now - self.started)
        if self.bar:
            self.bar.update(nfe)
            self.bar.set_postfix_str(f"{rate:.2f} images/s")
        elif now - self.shown > self.every:
            self.shown = now
            speed = self.nfe / (now - self.started)
            left = max(0, self.total - self.nfe) / speed if speed else float("inf")
            print(
                f"{self.nfe / self.total:4.0%}  {self.images} images finished  {rate:.2f} images/s  {speed:.0f} NFE/s  "
                f"{left:.0f} s left",
                file=sys.stderr,
                flush=True,
            )

    def close(self) -> None:
        if self.bar:
            self.bar.close()
