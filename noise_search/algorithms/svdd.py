"""SVDD: soft value-based decoding, one trajectory that chooses at every step (Li et al., arXiv 2408.08252)."""

from __future__ import annotations

from dataclasses import dataclass, field

from noise_search.algorithms.beam import Beam


@dataclass(frozen=True)
class SVDD(Beam):
    """A beam of one that branches M times at every step; its points are M. Not anytime: one run for each M.

    `temperature` T: the branch is drawn with weights exp(r / T) of its clean prediction's score r; 0: the best.
    For many steps and branches it would sample p(x) exp(r(x) / T) if r / T of a clean prediction were the logarithm of
    what exp(r / T) is expected to become. It is not (of a linear r it is below that, by Jensen), so the samples are
    biased, however many branches: on the exact mixture with a linear r / T the mean reward rises by .25 in theory, by
    .18 with 16 branches, of 16 steps or of 32. With T = 0 nothing holds it: .67 with 4 branches, 1.0 with 16, where a
    component's own rewards spread by .2 (tests/test_trajectories.py).
    Cost of M >= 1: 1 + M (steps - 1); scored: M (steps - 1) + 1 images.
    """

    beams: int = field(default=1, init=False)
    choices: int | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        return "SVDD"
