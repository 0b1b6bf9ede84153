"""Seconds by stage, on the clock of the device that does the work: reading them waits for the device, taking them does
not."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch

SEARCH = ("denoise", "decode", "verify")  # of candidates: of the networks, backward passes included; and their views
STAGES = (*SEARCH, "render", "judge")  # render: the final generation, decoded; judge: all that is measured of it


class Span(NamedTuple):
    """One stretch of a stage. start, end: seconds of the host's monotonic clock, or events of the device."""

    stage: str
    start: Any
    end: Any

    def seconds(self) -> float:
        """Waits for the end of it."""
        if isinstance(self.start, float):
            return float(self.end - self.start)
        self.end.synchronize()
        return float(self.start.elapsed_time(self.end)) / 1000


class Stopwatch:
    """`with watch("denoise"):` takes a span. A stage inside another one is part of that one. device: None: nothing is
    taken."""

    def __init__(self, device: torch.device | None = None) -> None:
        self.device, self.spans = device, list[Span]()
        self.running = False

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        if self.running or self.device is None:
            yield
            return
        self.running, start = True, self.now()
        try:
            yield
        finally:
            self.running = False
            self.spans.append(Span(stage, start, self.now()))

    def now(self) -> Any:
        """On a GPU an event in its queue, which the host does not wait for."""
        if self.device is None or self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def add(self, seconds: Sequence[float]) -> None:
        """What was taken elsewhere for this search, one number a stage of SEARCH."""
        self.spans += spans_of(dict(zip(SEARCH, seconds, strict=True)))


def spans_of(seconds: Mapping[str, float]) -> list[Span]:
    """One span a stage."""
    return [Span(stage, 0.0, float(value)) for stage, value in seconds.items()]


def by_stage(spans: Iterable[Span]) -> dict[str, float]:
    """Seconds of every stage; waits for the device."""
    out = dict.fromkeys(STAGES, 0.0)
    for span in spans:
        out[span.stage] += span.seconds()
    return out
