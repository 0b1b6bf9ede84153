"""What looks at pictures of scenes: the exact reader, the verifiers and the judge."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from noise_search.scenes.draw import draw
from noise_search.scenes.language import CATEGORIES, Caption, Object, parse, satisfied
from noise_search.scenes.read import Reading, read, share_met, shows
from noise_search.scenes.sample import draw_caption, draw_pair, draw_scene, pick

CIRCLE, SQUARE = Object("circle", "red", "plain", 8, 8, 5), Object("square", "blue", "striped", 24, 10, 5.5)
Pairs = list[tuple[Caption, tuple[Object, ...]]]


@cache
def pairs(count: int) -> Pairs:
    """Captions with a scene of each: half are of combinations that training shows, half of any."""
    rng, out = np.random.default_rng(3), Pairs()
    while len(out) < count:
        if len(out) % 2:
            out.append(draw_pair(rng))
        else:
            caption = draw_caption(rng, pick(rng, CATEGORIES))
            scene = draw_scene(rng, caption)
            out += [] if scene is None else [(caption, scene)]
    return out


@cache
def readings(count: int) -> list[Reading]:
    return read(draw([scene for _, scene in pairs(count)]))


def test_fresh_renders_are_read_exactly_and_foreign_captions_rarely_fit() -> None:
    n = 400
    found = readings(n)
    for (caption, scene), reading in zip(pairs(n), found, strict=True):
        assert shows(caption, reading) and share_met(caption, reading) == 1
        place = {(round(thing.x), round(thing.y)): thing for thing in scene}
        for thing in reading.objects:
            drawn = min(scene, key=lambda other, thing=thing: abs(other.x - thing.x) + abs(other.y - thing.y))
            assert thing == replace(drawn, x=thing.x, y=thing.y, radius=thing.radius)
            assert max(abs(thing.x - drawn.x), abs(thing.y - drawn.y), abs(thing.radius - drawn.radius)) < 0.1
        assert len(reading.objects) == len(place) and max(reading.left) < 1e-4
    foreign = [shows(pairs(n)[(i + 1) % n][0], reading) for i, reading in enumerate(found)]
    assert np.mean(foreign) < 0.03


def spoilt(how: Callable[[np.ndarray], np.ndarray], n: int = 40) -> float:
    """The share of scenes whose caption is satisfied yet, after `how` was done to their pictures."""
    images = draw([scene for _, scene in pairs(n)]).astype(np.float64)
    found = read(np.clip(how(images) + 0.5, 0, 255).astype(np.uint8))
    return float(np.mean([shows(caption, reading) for (caption, _), reading in zip(pairs(n), found, strict=True)]))


def test_what_is_blurred_ragged_or_dirty_is_not_read() -> None:
    rng = np.random.default_rng(0)

    def blurred(sigma: float) -> float:
        return spoilt(lambda x: gaussian_filter(x, (0, sigma, sigma, 0)))

    assert blurred(0.4) > 0.95 and blurred(1.0) == 0
    assert spoilt(lambda x: x + rng.normal(0, 6, x.shape)) > 0.95
    assert spoilt(lambda x: x + rng.normal(0, 32, x.shape)) == 0
    assert spoilt(lambda x: np.roll(x, 2, 2) / 2 + x / 2) == 0  # every outline twice

    def ragged(x: np.ndarray) -> np.ndarray:  # every second row is moved by a pixel
        return np.stack([np.roll(x[:, i], i % 2, 1) for i in range(x.shape[1])], 1)

    assert spoilt(ragged) < 0.05

    def dirty(x: np.ndarray) -> np.ndarray:
        x[:, 14:18, 14:18] -= 120
        return x

    assert spoilt(dirty) == 0
    blank = np.full((1, 32, 32, 3), 240, np.uint8)
    assert read(blank) == [Reading((), True)] and read(255 - blank)[0].clear is False
    assert read(blank[:0]) == []


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("a red circle and a striped blue square", 1),
        ("a red circle and a plain blue square", 4 / 5),
        ("a blue circle and a red square", 2 / 4),
        ("a red circle to the left of a blue square", 1),
        ("a red circle to the right of a blue square", 4 / 5),
        ("a red circle", 2 / 3),  # the square is too much
        ("three circles", 1 / 3),
        ("a green cross", 0),
    ],
)
def test_the_share_of_demands_that_are_met(text: str, share: float) -> None:
    (reading,) = read(draw([(CIRCLE, SQUARE)]))
    assert share_met(parse(text), reading) == pytest.approx(share)
    assert shows(parse(text), reading) == (share == 1) == satisfied(parse(text), (CIRCLE, SQUARE))
    assert share_met(parse(text), reading._replace(clear=False)) < 1
