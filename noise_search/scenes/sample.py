"""Random captions and scenes; and which combinations are kept from training."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from noise_search.scenes.language import (
    CATEGORIES,
    COLOURS,
    RELATIONS,
    SHAPES,
    TEXTURES,
    Caption,
    Group,
    Object,
    holds,
)

SIDE = 32  # pixels of a picture
RADIUS = (5.0, 6.0)  # of an object, pixels
GAP, EDGE = 2.0, 1.0  # pixels between two objects, and between an object and the edge
DRAWN_MARGIN = 8.0  # of a relation, in scenes drawn for a caption

# No training picture shows any of these.
KEPT_COLOURS = {("red", "triangle"), ("green", "circle"), ("blue", "cross"), ("yellow", "square")}
KEPT_TEXTURES = {("striped", "triangle"), ("dotted", "square")}
KEPT_COUNTS = {(3, "triangle"), (2, "cross")}
KEPT_SHAPES = {("circle", "cross"), ("cross", "square", "triangle")}  # all the shapes of a picture, sorted
KEPT_RELATIONS = {  # the one on the left, or above, first
    ("circle", "left", "square"),
    ("triangle", "left", "circle"),
    ("square", "above", "circle"),
    ("cross", "above", "triangle"),
}


def kept_pair(a: tuple[str, str], b: tuple[str, str]) -> bool:
    """Two objects of these (colour, shape) in one picture: an arbitrary ninth of all pairs."""
    i, j = sorted(COLOURS.index(colour) * len(SHAPES) + SHAPES.index(shape) for colour, shape in (a, b))
    return (7 * i + 11 * j) % 9 == 0


def kept(things: Sequence[Group | Object], relations: Sequence[tuple[str, str, str]]) -> bool:
    """Is one of the combinations kept from training among these? relations: (shape, relation, shape)."""
    kinds = [(thing.colour, thing.shape) for thing in things if thing.colour is not None]
    counts = {(count, shape) for shape, count in Counter(thing.shape for thing in things).items()}
    mirrored = {"right": "left", "below": "above"}
    ordered = {(b, mirrored[name], a) if name in mirrored else (a, name, b) for a, name, b in relations}
    return bool(
        KEPT_COLOURS.intersection(kinds)
        or KEPT_TEXTURES.intersection((thing.texture, thing.shape) for thing in things)
        or KEPT_COUNTS & counts
        or KEPT_RELATIONS & ordered
        or tuple(sorted(thing.shape for thing in things)) in KEPT_SHAPES
        or any(kept_pair(kinds[i], kinds[j]) for j in range(len(kinds)) for i in range(j))
    )


def kept_caption(caption: Caption) -> bool:
    """Does every picture of this caption show a combination kept from training?"""
    singles, name = caption.singles, caption.relation
    return kept(singles, [(singles[i].shape, name, singles[j].shape) for i, j in caption.pairs if name])


def kept_scene(objects: Sequence[Object]) -> bool:
    """Does this picture show a combination kept from training, named in its caption or not?"""
    pairs = [(a, b) for i, a in enumerate(objects) for b in objects[:i]]
    return kept(objects, [(a.shape, name, b.shape) for a, b in pairs for name in RELATIONS if holds(name, a, b)])


def pick(rng: np.random.Generator, words: Sequence[str]) -> str:
    return words[int(rng.random() * len(words))]


def draw_caption(rng: np.random.Generator, category: str) -> Caption:
    """A caption of one of CATEGORIES, of 1 to 3 objects, no two groups of which ask for the same."""
    while True:
        caption = DRAWN[category](rng)
        wanted = {(group.shape, group.colour, group.texture) for group in caption.groups}
        if len(wanted) == len(caption.groups):
            return caption


def shapes(rng: np.random.Generator, one: float = 0.1, three: float = 0.4) -> list[str]:
    """Of 1, 2 or 3 objects; one, three: how probable it is that there are so many."""
    u = rng.random()
    return [pick(rng, SHAPES) for _ in range(1 if u < one else 3 if u > 1 - three else 2)]


def with_colours(rng: np.random.Generator) -> Caption:
    return Caption(tuple(Group(shape, pick(rng, COLOURS)) for shape in shapes(rng)))


def with_shapes(rng: np.random.Generator) -> Caption:
    different = rng.permutation(len(SHAPES))[: 2 + int(rng.random() < 0.4)]
    return Caption(tuple(Group(SHAPES[i], pick(rng, COLOURS) if rng.random() < 0.25 else None) for i in different))


def with_textures(rng: np.random.Generator) -> Caption:
    coloured = rng.random() < 0.3
    return Caption(
        tuple(Group(shape, pick(rng, COLOURS) if coloured else None, pick(rng, TEXTURES)) for shape in shapes(rng))
    )


def with_relation(rng: np.random.Generator) -> Caption:
    coloured = rng.random() < 0.7
    groups = tuple(Group(shape, pick(rng, COLOURS) if coloured else None) for shape in shapes(rng, 0, 0))
    return Caption(groups, pick(rng, tuple(RELATIONS)))


def with_counts(rng: np.random.Generator) -> Caption:
    coloured, count = rng.random() < 0.5, 2 + int(rng.random() < 0.4)
    groups = [Group(pick(rng, SHAPES), pick(rng, COLOURS) if coloured else None, None, count)]
    if count == 2 and rng.random() < 0.6:
        groups.append(Group(pick(rng, SHAPES), pick(rng, COLOURS) if coloured else None))
    return Caption(tuple(groups))


def with_everything(rng: np.random.Generator) -> Caption:
    groups = [Group(shape, pick(rng, COLOURS), pick(rng, TEXTURES)) for shape in shapes(rng, 0, 0.4)]
    if len(groups) == 3:
        return Caption(tuple(groups))
    if rng.random() < 0.4:
        more = int(rng.random() < 0.5)
        groups[more] = replace(groups[more], count=2)
    return Caption(tuple(groups), pick(rng, tuple(RELATIONS)))


DRAWN = dict(
    zip(
        CATEGORIES, (with_colours, with_shapes, with_textures, with_relation, with_counts, with_everything), strict=True
    )
)


def draw_scene(rng: np.random.Generator, caption: Caption) -> tuple[Object, ...] | None:
    """Objects that satisfy the caption, anywhere they may be; what it leaves open is of any colour, and plain. None:
    of 64 random layouts none has room for them; try again."""
    singles = caption.singles
    radius = rng.uniform(*RADIUS, len(singles))
    reach = (SIDE / 2 - radius - EDGE)[:, None]
    centres = SIDE / 2 + rng.uniform(-1, 1, (64, len(singles), 2)) * reach
    good = np.ones(64, dtype=bool)
    for i in range(len(singles)):
        for j in range(i):
            apart = np.abs(centres[:, i] - centres[:, j]).max(1)
            good &= apart >= radius[i] + radius[j] + GAP
    axis, sign = {"left": (0, 1), "right": (0, -1), "above": (1, 1), "below": (1, -1)}[caption.relation or "left"]
    for i, j in caption.pairs:
        good &= sign * (centres[:, j, axis] - centres[:, i, axis]) >= DRAWN_MARGIN
    if not good.any():
        return None
    places = centres[int(good.argmax())]
    return tuple(
        Object(g.shape, g.colour or pick(rng, COLOURS), g.texture or "plain", float(x), float(y), float(r))
        for g, (x, y), r in zip(singles, places, radius, strict=True)
    )


def draw_pair(rng: np.random.Generator, category: str | None = None) -> tuple[Caption, tuple[Object, ...]]:
    """A caption of a random category and a scene of it, for training: no combination kept from training is in it."""
    while True:
        caption = draw_caption(rng, category or pick(rng, CATEGORIES))
        if kept_caption(caption):
            continue
        for _ in range(8):
            scene = draw_scene(rng, caption)
            if scene is not None and not kept_scene(scene):
                return caption, scene


def kept_captions(count: int, seed: int = 0) -> dict[str, list[Caption]]:
    """`count` different captions of every category, each with a combination that no training picture shows."""
    out: dict[str, list[Caption]] = {}
    for number, category in enumerate(CATEGORIES):
        rng = np.random.default_rng([seed, number])
        found: dict[str, Caption] = {}
        while len(found) < count:
            caption = draw_caption(rng, category)
            if kept_caption(caption):
                found[caption.text] = caption
        out[category] = list(found.values())
    return out
