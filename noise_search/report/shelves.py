"""Images worth a look: those that a verifier may have been hacked with, and those over which verifiers disagree."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from noise_search.measures.frechet import Gaussian

COUNT = 8


class Item(NamedTuple):
    """The id of an image, its name and why it stands here."""

    image: int
    name: str
    why: str


class Shelf(NamedTuple):
    title: str
    note: str
    items: Sequence[Item]


class Seen(NamedTuple):
    """What is known of N images of one budget: names; scores float64 [N, V]; chooser: how many columns of them chose;
    distance float64 [N], from the data, or None."""

    names: Sequence[str]
    scores: np.ndarray
    columns: Sequence[str]
    chooser: int
    distance: np.ndarray | None


def shares(values: np.ndarray) -> np.ndarray:
    """[N, V] -> each one's place in its column, from 0, the lowest, to 1; equal ones share the mean of theirs."""
    order = np.argsort(np.argsort(values, axis=0, kind="stable"), axis=0).astype(float)
    for column in range(values.shape[1]):
        _, inverse = np.unique(values[:, column], return_inverse=True)
        order[:, column] = (np.bincount(inverse, order[:, column]) / np.bincount(inverse))[inverse]
    return order / max(1, len(values) - 1)


def from_data(features: np.ndarray, reference: Gaussian) -> np.ndarray:
    """Mahalanobis distance float64 [N] of features [N, D] to the Gaussian of real images, over the square root of D, so
    that real ones have about 1. A thousandth of the mean variance is added: the covariance of few is singular."""
    size = len(reference.mean)
    ridge = 1e-3 * np.trace(reference.covariance) / size
    factor = np.linalg.cholesky(reference.covariance + ridge * np.eye(size))
    away = np.linalg.solve(factor, (features.astype(np.float64) - reference.mean).T)
    return np.sqrt((away**2).sum(0) / size)


def shelves(seen: Seen) -> list[Shelf]:
    """Of at least 2 * COUNT images, whose scores are all finite; verifiers of the whole set alone give none."""
    if len(seen.names) < 2 * COUNT or not seen.scores.size or not np.isfinite(seen.scores).all():
        return []
    places = shares(seen.scores)
    out = []
    if seen.distance is not None and np.isfinite(seen.distance).all():
        high, far = places[:, : seen.chooser].mean(1), shares(seen.distance[:, None])[:, 0]
        found = np.argsort(-np.minimum(high, far), kind="stable")[:COUNT]
        why = [f"score {seen.scores[i, 0]:.3g}, distance {seen.distance[i]:.2f}" for i in found]
        note = (
            "High scores that lie further from real images than the other images do, in the judge's features"
            " (Mahalanobis distance; real images have about 1): what a verifier rewards and a judge doubts."
        )
        out.append(shelf("Hacking?", note, seen, found, why))
    if places.shape[1] > 1:
        apart = np.ptp(places, axis=1)
        found = np.argsort(-apart, kind="stable")[:COUNT]
        why = [
            f"{seen.columns[places[i].argmax()]} above {100 * places[i].max():.0f} %,"
            f" {seen.columns[places[i].argmin()]} above {100 * places[i].min():.0f} % of images"
            for i in found
        ]
        note = "Images that the verifiers rank most differently among all, at the largest budget."
        out.append(shelf("Disagreement", note, seen, found, why))
    return out


def shelf(title: str, note: str, seen: Seen, found: np.ndarray, why: Sequence[str]) -> Shelf:
    items = [Item(int(i), seen.names[i], words) for i, words in zip(found, why, strict=True)]
    return Shelf(title, note, items)
