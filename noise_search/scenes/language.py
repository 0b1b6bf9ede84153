"""Captions of small scenes, what they demand of a picture's objects, and whether objects meet it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from noise_search.errors import Refused

SHAPES = ("circle", "square", "triangle", "cross")
COLOURS = ("red", "green", "blue", "yellow", "purple")
TEXTURES = ("plain", "striped", "dotted")
COUNTS = ("a", "two", "three")
RELATIONS = {"left": "to the left of", "right": "to the right of", "above": "above", "below": "below"}
CATEGORIES = ("color", "shape", "texture", "spatial", "numeracy", "complex")  # as T2I-CompBench spells them
MARGIN = 4.0  # pixels between two centres along the axis of a relation, from which on it holds

PLURALS = {("crosses" if shape == "cross" else shape + "s"): shape for shape in SHAPES}
# what a text encoder reads; number 0 is padding
VOCABULARY = (
    *("", ",", "and", *COUNTS, "to", "the", "left", "right", "of", "above", "below"),
    *(*SHAPES, *PLURALS, *COLOURS, *TEXTURES),
)
LONGEST = 16  # words


@dataclass(frozen=True)
class Object:
    """x, y: centre in pixels from the left and from the top; radius: half its width, in pixels."""

    shape: str
    colour: str
    texture: str
    x: float
    y: float
    radius: float


@dataclass(frozen=True)
class Group:
    """`count` objects of one shape; colour, texture: None where any will do."""

    shape: str
    colour: str | None = None
    texture: str | None = None
    count: int = 1

    @property
    def text(self) -> str:
        noun = self.shape if self.count == 1 else next(many for many, one in PLURALS.items() if one == self.shape)
        return " ".join(word for word in (COUNTS[self.count - 1], self.texture, self.colour, noun) if word)

    def fits(self, thing: Object) -> bool:
        return (
            thing.shape == self.shape and self.colour in (None, thing.colour) and self.texture in (None, thing.texture)
        )


@dataclass(frozen=True)
class Caption:
    """What a picture must show: the objects of all groups and no others. relation: of every object of the first group
    to every one of the second; None: anywhere."""

    groups: tuple[Group, ...]
    relation: str | None = None

    @property
    def text(self) -> str:
        parts = [group.text for group in self.groups]
        if self.relation:
            return f"{parts[0]} {RELATIONS[self.relation]} {parts[1]}"
        return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)

    @property
    def singles(self) -> list[Group]:
        """The group of each object."""
        return [group for group in self.groups for _ in range(group.count)]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Numbers (into `singles`) of objects that the relation is about."""
        if not self.relation:
            return []
        first, second = self.groups[0].count, self.groups[1].count
        return [(i, first + j) for i in range(first) for j in range(second)]


def parse(text: str) -> Caption:
    """The inverse of `Caption.text`; case and a full stop at the end do not matter. Refused: another text."""
    plain = " ".join(text.lower().strip().rstrip(".").split())
    for relation, words in RELATIONS.items():
        if f" {words} " in plain:
            parts = plain.split(f" {words} ")
            if len(parts) == 2:
                return Caption((group(parts[0], text), group(parts[1], text)), relation)
    return Caption(tuple(group(part, text) for part in re.split(r", | and ", plain)))


def group(part: str, text: str) -> Group:
    words = part.split()
    shape = PLURALS.get(words[-1], words[-1]) if words else ""
    middle = words[1:-1]
    texture = middle.pop(0) if middle and middle[0] in TEXTURES else None
    colour = middle.pop(0) if middle and middle[0] in COLOURS else None
    if len(words) > 1 and shape in SHAPES and words[0] in COUNTS:
        found = Group(shape, colour, texture, COUNTS.index(words[0]) + 1)
        if found.text == part:
            return found
    raise Refused(
        f"{text!r} is no caption of a scene: {part!r} was read; such as 'a striped red circle above two crosses', of"
        f" {', '.join((*COUNTS, *TEXTURES, *COLOURS, *SHAPES))}, joined by ',', 'and' or a relation"
    )


def holds(relation: str, a: Object, b: Object, margin: float = MARGIN) -> bool:
    """Is a so to b, by at least `margin` pixels between the centres? A diagonal is both of its relations."""
    apart = {"left": b.x - a.x, "right": a.x - b.x, "above": b.y - a.y, "below": a.y - b.y}
    return apart[relation] >= margin


def satisfied(caption: Caption, objects: Sequence[Object]) -> bool:
    """Do the objects, all of them, answer one to one to what the caption demands?"""
    singles = caption.singles
    if len(objects) != len(singles):
        return False
    return any(
        all(single.fits(thing) for single, thing in zip(singles, order, strict=True))
        and all(holds(caption.relation or "", order[i], order[j]) for i, j in caption.pairs)
        for order in permutations(objects)
    )


def numbers(text: str) -> list[int]:
    """The words of a caption as numbers into VOCABULARY. Refused: a word that is not there, or more than LONGEST."""
    words = text.lower().strip().rstrip(".").replace(",", " ,").split()
    for word in words:
        if word not in VOCABULARY:
            raise Refused(f"{text!r}: {word!r} is not a word of scenes, which are {' '.join(VOCABULARY[1:])}")
    if len(words) > LONGEST:
        raise Refused(f"{text!r}: {len(words)} words; at most {LONGEST}")
    return [VOCABULARY.index(word) for word in words]


def padded_numbers(texts: Sequence[str]) -> np.ndarray:
    """The words of captions, uint8 [N, LONGEST], 0 after the end."""
    out = np.zeros((len(texts), LONGEST), dtype=np.uint8)
    for row, text in zip(out, texts, strict=True):
        found = numbers(text)
        row[: len(found)] = found
    return out
