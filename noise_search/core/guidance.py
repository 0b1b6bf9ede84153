"""Guidance, as it is asked for. Torch is not needed here."""

from collections.abc import Sequence
from dataclasses import dataclass

from noise_search.core.checks import whole
from noise_search.errors import Refused


@dataclass(frozen=True)
class Guidance:
    """scale: of classifier-free guidance; at 1.0 there is none and no null pass; else one NFE is two network rows.

    channels: the first so many are guided, 3 in the published code of SiT and DiT; None: all. interval: the times t in
    which guidance acts (arXiv 2404.07724); outside, the conditional prediction is taken, at the same cost.
    distilled: the network was trained to be guided and is told the scale, as an input: one row at any scale.
    """

    scale: float = 1.0
    channels: int | None = None
    interval: tuple[float, float] = (0.0, 1.0)
    distilled: bool = False

    def __post_init__(self) -> None:
        channels, times = self.channels, self.interval
        if channels is not None and not (whole(channels) and channels >= 1):
            raise Refused(f"guidance.channels={channels}: all or a whole number, at least 1")
        numbers = isinstance(times, Sequence) and all(isinstance(t, int | float) for t in times)
        if not numbers or len(times) != 2 or not 0 <= times[0] < times[1] <= 1:
            raise Refused(f"guidance.interval={times}: [low, high], two times between 0 (data) and 1 (noise)")
        told = "where the network is told the scale (distilled guidance)"
        if self.distilled and channels is not None:
            raise Refused(f"guidance.channels={channels}: all, {told}")
        if self.distilled and tuple(times) != (0, 1):
            raise Refused(f"guidance.interval={times}: [0, 1], {told}")

    @property
    def rows(self) -> int:
        """Network rows of one evaluation."""
        return 1 if self.distilled or self.scale == 1.0 else 2

    @property
    def name(self) -> str:
        """For titles."""
        if self.distilled:
            return f"distilled guidance {self.scale:g}"
        return "no guidance" if self.rows == 1 else f"classifier-free guidance {self.scale:g}"

    def __str__(self) -> str:
        """For plans."""
        told = "an input of the network, " if self.distilled else ""
        return f"{self.name} ({told}{self.rows} row{'s' * (self.rows > 1)} an evaluation)"


NO_GUIDANCE = Guidance()
