"""SVDD: soft value-based decoding, one trajectory that chooses at every step (Li et al., arXiv 2408.08252)."""

from __future__ import annotations

from dataclasses import dataclass

from noise_search.algorithms.beam import Beam


@dataclass(frozen=True)
class SVDD(Beam):
    """A beam of one that branches M times at every step; its points are M. Not anytime: one run for each M.

    `temperature` T: the branch is drawn with weights exp(r / T) of its clean prediction's score r; 0: the best.
    For many steps and branches it would sample p(x) exp(r(x) / T) if the score of a clean prediction were the logarithm
    of what exp(r / T) is expected to become; it is below that (Jensen), so the samples are biased, however many.
    Cost of M >= 1: 1 + M (steps - 1); scored: M (steps - 1) + 1 images.
    """

    beams: int = 1
    choices: int | None = None

    @property
    def name(self) -> str:
        return "SVDD"
