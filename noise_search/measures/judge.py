"""Judges: a feature network and its real images. What selects must not judge: no verifier uses these networks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from noise_search.measures.frechet import Gaussian


class Space(NamedTuple):
    """Features that a Frechet distance is taken in: which columns, the real images' statistics there, whose they are,
    and the network's name."""

    columns: slice
    gaussian: Gaussian
    reference: str
    network: str


@dataclass(frozen=True)
class Judge:
    """network, probe: names as they stand beside every number.

    features: uint8 [N, H, W, 3] -> float32 [N, D]. probabilities: features -> [N, classes], of the probe that the
    inception score uses. columns_of: class id -> its column among those classes; None: not known, so no accuracy and no
    oracle IS. frechet: metric -> its space; the first is the main one, in which all else is measured.
    reference: () -> main features [M, D'] of real images for kernel distance, precision and recall; None: there are
    none. heldout: n -> that many real images that are in neither, uint8 [n, h, w, 3], and their labels, for the floor
    of every distance; None if fewer are at hand. splits, shuffle: of the inception score (`metrics.scores`).
    export_npz: are the images of every budget wanted as ADM's .npz? weights: file name -> sha256.
    """

    network: str
    probe: str
    features: Callable[[np.ndarray], np.ndarray]
    probabilities: Callable[[np.ndarray], np.ndarray]
    frechet: Mapping[str, Space]
    reference: Callable[[], np.ndarray] | None
    reference_name: str
    heldout: Callable[[int], tuple[np.ndarray, np.ndarray] | None]
    heldout_name: str
    columns_of: np.ndarray | None = None
    splits: int = 1
    shuffle: bool = False
    export_npz: bool = False
    weights: dict[str, str] = field(default_factory=dict)

    @property
    def main(self) -> Space:
        return next(iter(self.frechet.values()))


def one_space(gaussian: Gaussian, reference: str, network: str) -> dict[str, Space]:
    """The one Frechet distance of a judge all of whose features are one space."""
    return {"frechet_distance": Space(slice(None), gaussian, reference, network)}
