"""The drawn object nearest to a component of painted pixels: templates first, then its place and size refined.

Shapes: M windows of W = WINDOW pixels a side, [M, W, W, 3], each one component less the background.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from noise_search.scenes.draw import BACKGROUND, PAINT, SHADE, distances, marks
from noise_search.scenes.language import SHAPES, TEXTURES

WINDOW = 16
KINDS = np.array([(shape, texture) for shape in range(len(SHAPES)) for texture in range(len(TEXTURES))])
REFINED = 3  # kinds that are refined, of those whose templates are nearest
SMALLEST, LARGEST = 4.0, 7.0  # radii that are found, pixels


class Fit(NamedTuple):
    """Of M objects, [M] each: kind (into KINDS), x and y (from the window's corner), radius, and left: the share of the
    window's squares that the object leaves; other: that the next best object of another kind would leave."""

    kind: np.ndarray
    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray
    left: np.ndarray
    other: np.ndarray


def painted(kind: np.ndarray, colour: np.ndarray, x: np.ndarray, y: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Objects alone in their windows, less the background: float32 [M, W, W, 3]. Arguments: [M]."""
    shape, texture = KINDS[kind].T
    points = np.arange(WINDOW, dtype=np.float32) + 0.5
    x, y, radius = (np.asarray(a, np.float32)[:, None, None] for a in (x, y, radius))
    u, v = np.broadcast_arrays(points[None, None, :] - x, points[None, :, None] - y)
    cover = np.clip(0.5 - distances(shape, u, v, radius), 0, 1)[..., None]
    return cover * (PAINT[colour][:, None, None] * (1 - (1 - SHADE) * marks(texture, u, v))[..., None] - BACKGROUND)


@cache
def templates(colour: int) -> tuple[np.ndarray, Fit]:
    """Of a colour: templates [T, W * W * 3] of all kinds, at steps of a quarter of a pixel, and what each shows."""
    places, radii = WINDOW / 2 + np.arange(-3, 4) / 4, np.arange(SMALLEST + 0.25, LARGEST, 0.5)
    grid = np.meshgrid(np.arange(len(KINDS)), places, places, radii, indexing="ij")
    kind, x, y, radius = (axis.reshape(-1) for axis in grid)
    out = painted(kind, np.full(len(kind), colour), x, y, radius).reshape(len(kind), -1)
    return out, Fit(kind, x, y, radius, np.zeros(len(kind)), np.zeros(len(kind)))


def colours_of(windows: np.ndarray) -> np.ndarray:
    """int64 [M], into COLOURS: the paint whose shades, mixed with the background, are nearest to a window's pixels."""
    pixels, left = windows.reshape(len(windows), -1, 3), []
    for paint in PAINT:
        basis = np.stack([paint - BACKGROUND, (SHADE - 1) * paint])
        amounts = np.clip(pixels @ np.linalg.pinv(basis), 0, 1.2)
        left.append(np.square(pixels - amounts @ basis).sum((1, 2)))
    return np.argmin(left, 0)


def nearest(windows: np.ndarray, colour: np.ndarray) -> Fit:
    """The object nearest to each window."""
    m, flat = len(windows), windows.reshape(len(windows), -1)
    start = Fit(*(np.zeros((m, REFINED)) for _ in Fit._fields))
    for k in np.unique(colour):
        rows, (known, shown) = np.nonzero(colour == k)[0], templates(int(k))
        error = np.square(known).sum(1) - 2 * flat[rows] @ known.T  # [m, T], less the window's own squares
        by_kind = error.reshape(len(rows), len(KINDS), -1)
        best = by_kind.argmin(2) + np.arange(len(KINDS)) * by_kind.shape[2]  # [m, kinds]
        order = np.take_along_axis(error, best, 1).argsort(1)[:, :REFINED]
        chosen = np.take_along_axis(best, order, 1)
        for values, of_template in zip(start, shown, strict=True):
            values[rows] = of_template[chosen]
    flat_start = Fit(*(values.reshape(-1) for values in start))
    fits = refined(flat_start, np.repeat(windows, REFINED, 0), np.repeat(colour, REFINED))
    left = fits.left.reshape(m, REFINED)
    first = left.argmin(1) + np.arange(m) * REFINED
    kind, x, y, radius, found, _ = (values[first] for values in fits)
    return Fit(kind, x, y, radius, found, np.sort(left, 1)[:, 1])


def refined(start: Fit, windows: np.ndarray, colour: np.ndarray, rounds: int = 4) -> Fit:
    """Gauss-Newton steps in x, y and radius from `start`, each kept where it leaves less."""
    kind, energy = start.kind.astype(np.int64), np.maximum(np.square(windows).sum((1, 2, 3)), 1.0)
    at = np.stack([start.x, start.y, start.radius], 1)

    def difference(point: np.ndarray) -> np.ndarray:
        return (painted(kind, colour, *point.T) - windows).reshape(len(windows), -1)

    error = difference(at)
    best = np.square(error).sum(1)
    for _ in range(rounds):
        steps = 0.05 * np.eye(3)
        slopes = np.stack([(difference(at + step) - difference(at - step)) / 0.1 for step in steps], 1)  # [M, 3, ...]
        normal = slopes @ slopes.transpose(0, 2, 1) + 1e-3 * np.eye(3) * energy[:, None, None]
        move = np.linalg.solve(normal, slopes @ error[..., None])[..., 0]
        tried = at - np.clip(move, -0.3, 0.3)
        tried[:, 2] = np.clip(tried[:, 2], SMALLEST, LARGEST)
        there = difference(tried)
        squares = np.square(there).sum(1)
        better = squares < best
        at[better], error[better], best[better] = tried[better], there[better], squares[better]
    return Fit(kind, at[:, 0], at[:, 1], at[:, 2], best / energy, start.other)
