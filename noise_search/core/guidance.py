"""Classifier-free guidance, as it is asked for. Torch is not needed here."""

from collections.abc import Sequence
from dataclasses import dataclass

from noise_search.core.checks import whole


@dataclass(frozen=True)
class Guidance:
    """Classifier-free guidance. scale: at 1.0 there is none and no null pass; else one NFE is two network rows.

    channels: the first so many are guided, 3 in the published code of SiT and DiT; None: all. interval: the times t in
    which guidance acts (arXiv 2404.07724); outside, the conditional prediction is taken, at the same cost.
    """

    scale: float = 1.0
    channels: int | None = None
    interval: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        channels, times = self.channels, self.interval
        if channels is not None and not (whole(channels) and channels >= 1):
            raise ValueError(f"guidance.channels={channels}: all or a whole number, at least 1")
        numbers = isinstance(times, Sequence) and all(isinstance(t, int | float) for t in times)
        if not numbers or len(times) != 2 or not 0 <= times[0] < times[1] <= 1:
            raise ValueError(f"guidance.interval={times}: [low, high], two times between 0 (data) and 1 (noise)")

    @property
    def rows(self) -> int:
        """Network rows of one evaluation."""
        return 1 if self.scale == 1.0 else 2


NO_GUIDANCE = Guidance()
