"""Objects read back from the pixels of a scene: exact where the picture is clean, nothing where it is not.

Each component of painted pixels is one object, if a drawn one leaves little of it unexplained; blur, ragged outlines
and crossbreeds leave more. Where anything else is to be seen, the picture is not clear, and satisfies no caption.
"""

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import numpy as np

from noise_search.scenes.components import components, strays
from noise_search.scenes.draw import BACKGROUND
from noise_search.scenes.fit import KINDS, WINDOW, colours_of, nearest
from noise_search.scenes.language import COLOURS, SHAPES, TEXTURES, Caption, Object, holds, satisfied

# Of a component's squared difference from the background, the most that an object may leave. Drawn ones leave 1e-5,
# blurred by 0.8 pixels 0.04, with outlines bent by half a pixel 0.04; what leaves 0.06 looks ragged or mixed in colour.
UNEXPLAINED = 0.04
DOUBT = 1.5  # times as much an object of another kind has to leave, or it is not known which of the two it is
MOST = 6  # components: a picture of more is not clear, and not looked at further


class Reading(NamedTuple):
    """objects: those that could be read. clear: is there nothing else in the picture? left: of each component, the
    share that the object nearest to it leaves unexplained."""

    objects: tuple[Object, ...]
    clear: bool
    left: tuple[float, ...] = ()


def read(images: np.ndarray) -> list[Reading]:
    """uint8 [N, H, W, 3] -> what each picture shows. About 4 ms a picture on one core."""
    labels = components(images)
    difference, dirty = images.astype(np.float32) - BACKGROUND, strays(images, labels)
    owner, corner, windows = list[int](), list[tuple[int, int]](), list[np.ndarray]()
    for n, picture in enumerate(labels):
        there = np.unique(picture[picture > 0])
        if len(there) > MOST:
            dirty[n] = True
            continue
        for label in there:
            left, top, window = cut(picture == label, difference[n])
            owner.append(n)
            corner.append((left, top))
            windows.append(window)
    objects, left_over = [list[Object]() for _ in images], [list[float]() for _ in images]
    if windows:
        found = np.stack(windows)
        colour = colours_of(found)
        fits = nearest(found, colour)
        for n, (x0, y0), k, kind, x, y, r, left_there, other in zip(owner, corner, colour, *fits, strict=True):
            left_over[n].append(float(left_there))
            if left_there <= UNEXPLAINED and other >= DOUBT * left_there:
                shape, texture = KINDS[int(kind)]
                names = SHAPES[shape], COLOURS[k], TEXTURES[texture]
                objects[n].append(Object(*names, x0 + float(x), y0 + float(y), float(r)))
    return [
        Reading(tuple(own), not dirt and len(own) == len(rest), tuple(rest))
        for own, rest, dirt in zip(objects, left_over, dirty.tolist(), strict=True)
    ]


def cut(inside: np.ndarray, difference: np.ndarray) -> tuple[int, int, np.ndarray]:
    """left, top and the window [WINDOW, WINDOW, 3] of a component, inside: bool [H, W]; zero where others are."""
    rows, columns = np.nonzero(inside)
    top, left = (round((int(a.min()) + int(a.max()) + 1) / 2) - WINDOW // 2 for a in (rows, columns))
    fits = (rows >= top) & (rows < top + WINDOW) & (columns >= left) & (columns < left + WINDOW)
    window = np.zeros((WINDOW, WINDOW, 3), np.float32)
    window[rows[fits] - top, columns[fits] - left] = difference[rows[fits], columns[fits]]
    return left, top, window


def shows(caption: Caption, reading: Reading) -> bool:
    """Does the picture show what the caption demands, and nothing else? What cannot be read is not shown."""
    return reading.clear and satisfied(caption, reading.objects)


def share_met(caption: Caption, reading: Reading) -> float:
    """The share of a caption's demands that the picture meets, 0 to 1: a shape, a colour, a texture of each object that
    is named, and the relation of each pair; every further object, or anything unreadable, is a demand that is not met.
    1 exactly where the picture `shows` it."""
    singles, things = caption.singles, [*reading.objects[:MOST]]
    further = max(len(things) - len(singles), 0) + (not reading.clear)
    demands = sum(1 + (s.colour is not None) + (s.texture is not None) for s in singles) + len(caption.pairs) + further
    padded: Sequence[Object | None] = [*things, *[None] * max(len(singles) - len(things), 0)]

    def met(order: Sequence[Object | None]) -> int:
        out = 0
        for single, thing in zip(singles, order, strict=True):
            if thing is not None:
                out += (
                    (thing.shape == single.shape) + (thing.colour == single.colour) + (thing.texture == single.texture)
                )
        for i, j in caption.pairs:
            a, b = order[i], order[j]
            out += a is not None and b is not None and holds(caption.relation or "", a, b)
        return out

    return max(met(order) for order in permutations(padded, len(singles))) / demands
