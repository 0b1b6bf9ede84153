"""Noise drawn ahead: while a device works on one draw, a thread makes the one that is likely to be asked for next."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from noise_search.core.noise import normal


@dataclass(frozen=True)
class Draws:
    """Draws number first to first + count - 1 of every image."""

    first: int
    count: int
    round: int
    tag: str

    def then(self, most: int) -> "Draws":
        """What is likely to be asked for next: after candidates as many again as there were, `most` at a time, which is
        how a sweep over 1, 2, 4, 8 goes on; after another purpose's draws, all of a round, those of the next."""
        if self.tag != "noise":
            return replace(self, round=self.round + 1)
        made = self.first + self.count
        return replace(self, first=made, count=max(1, min(made, most)))

    def begins(self, other: "Draws") -> bool:
        """Are these the first of the other's?"""
        return replace(other, count=self.count) == self and self.count <= other.count


def drawn(seed: int, ids: Sequence[int], shape: tuple[int, ...], pinned: bool, draws: Draws) -> Tensor:
    """[B, count, ...] on the CPU; pinned: where a GPU fetches it without being waited for."""
    images = [image for image in ids for _ in range(draws.count)]
    numbers = [*range(draws.first, draws.first + draws.count)] * len(ids)
    made = normal(seed, images, numbers, shape, draws.round, draws.tag).unflatten(0, (len(ids), draws.count))
    return made.pin_memory() if pinned else made


class Making(threading.Thread):
    """make(draws), in a thread of its own that ends with it.

    It is no daemon: a process ends when the draw that is being made is, at most milliseconds later, where a daemon
    would be stopped in the middle of torch, which may abort the process.
    """

    def __init__(self, make: Callable[[Draws], Tensor], draws: Draws) -> None:
        super().__init__(name="noise ahead")
        self.make, self.draws = make, draws
        self.made: Tensor | None = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.made = self.make(self.draws)
        except BaseException as error:  # told where the draw is asked for, if it ever is
            self.error = error

    def result(self) -> Tensor | None:
        """What was made; its error is raised here. None in a forked process, which has no such thread."""
        if self.error is not None:
            raise self.error
        return self.made


class NoiseAhead:
    """Calls `make`, a pure function, and then, in a thread, for what is likely to be asked for next.

    most: candidates of an image at a time. At most one draw is held, and at most one thread lives, for as long as a
    draw takes: what is asked for after a wrong guess waits for it.
    """

    def __init__(self, make: Callable[[Draws], Tensor], most: int) -> None:
        self.make, self.most = make, most
        self.coming: Making | None = None

    def __call__(self, draws: Draws) -> Tensor:
        coming, self.coming = self.coming, None
        made = None
        if coming is not None:
            coming.join()
            if draws.begins(coming.draws):
                made = coming.result()
        made = self.make(draws) if made is None else made[:, : draws.count]
        self.coming = Making(self.make, draws.then(self.most))
        return made
