"""Captions of scenes, what they demand, their pictures, and what is kept from training."""

from dataclasses import replace

import numpy as np
import pytest

from noise_search.datasets.scenes import scenes
from noise_search.errors import Refused
from noise_search.scenes.draw import BACKGROUND, PAINT, SHADE, draw
from noise_search.scenes.language import (
    CATEGORIES,
    COLOURS,
    LONGEST,
    VOCABULARY,
    Caption,
    Group,
    Object,
    numbers,
    parse,
    satisfied,
)
from noise_search.scenes.sample import draw_pair, draw_scene, kept_caption, kept_captions, kept_scene

CIRCLE, SQUARE = Object("circle", "red", "plain", 8, 8, 5), Object("square", "blue", "striped", 24, 10, 5)


@pytest.mark.parametrize("category", CATEGORIES)
def test_captions_are_read_back_and_their_scenes_satisfy_them(category: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        caption, objects = draw_pair(rng, category)
        assert parse(caption.text) == parse(caption.text.upper() + ".") == caption
        assert satisfied(caption, objects) and satisfied(caption, objects[::-1])
        assert not kept_caption(caption) and not kept_scene(objects)
        words = numbers(caption.text)
        assert 0 not in words and len(words) <= LONGEST
        assert " ".join(VOCABULARY[word] for word in words).replace(" ,", ",") == caption.text


def test_a_caption_demands_all_that_it_says() -> None:
    both = [CIRCLE, SQUARE]
    for text in ("a red circle and a blue square", "a striped square and a circle", "a circle to the left of a square"):
        assert satisfied(parse(text), both), text
        assert not satisfied(parse(text), [CIRCLE]) and not satisfied(parse(text), [*both, replace(CIRCLE, y=25.0)])
    wrong = ("two circles", "a blue circle and a red square", "a dotted square and a circle", "a circle above a square")
    for text in (*wrong, "a circle to the right of a square", "a circle"):
        assert not satisfied(parse(text), both), text


def test_a_relation_holds_for_every_object_of_its_groups() -> None:
    caption = parse("two red circles above a blue square")
    low = replace(SQUARE, y=26.0, x=14.0)
    assert satisfied(caption, [CIRCLE, low, replace(CIRCLE, x=24.0)])
    assert not satisfied(caption, [CIRCLE, low, replace(CIRCLE, x=26.0, y=26.0)])


@pytest.mark.parametrize("text", ["", "a fox", "red circle", "a circle and", "two circle", "a red striped circle"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(Refused, match="is no caption of a scene"):
        parse(text)


def test_words_that_the_encoder_does_not_know_are_refused() -> None:
    with pytest.raises(Refused, match="'fox' is not a word of scenes"):
        numbers("a red fox")
    with pytest.raises(Refused, match="17 words; at most 16"):
        numbers("a " * 17)


def test_what_is_kept_from_training_is_kept() -> None:
    for category, captions in kept_captions(50).items():
        assert len({caption.text for caption in captions}) == 50
        rng = np.random.default_rng(2)
        for caption in captions:
            objects = next(found for found in (draw_scene(rng, caption) for _ in range(1000)) if found)
            assert satisfied(caption, objects) and kept_scene(objects), (category, caption.text)
    assert kept_caption(Caption((Group("circle"), Group("square")), "left"))
    assert kept_caption(Caption((Group("square"), Group("circle")), "right"))
    assert not kept_caption(Caption((Group("square"), Group("circle")), "left"))


def test_pictures_show_objects_in_their_colours_and_places() -> None:
    image = draw([[CIRCLE, SQUARE], []])
    assert image.shape == (2, 32, 32, 3) and image.dtype == np.uint8
    assert (image[1] == BACKGROUND).all() and (image[0] != BACKGROUND).any(-1).mean() < 0.25
    assert (image[0, 7, 7] == PAINT[COLOURS.index("red")]).all()
    stripe, between = image[0, 9:11, 24].astype(float), image[0, 12, 24]
    assert abs(stripe - SHADE * PAINT[COLOURS.index("blue")]).max() < 2
    assert abs(between - PAINT[COLOURS.index("blue")]).max() < 2
    moved = draw([[replace(CIRCLE, x=9.0), SQUARE]])
    assert (moved[0, :, 1:18] == image[0, :, :17]).all()


def test_the_data_set_has_every_category_in_turn() -> None:
    found = scenes(each=3)
    assert found.categories == CATEGORIES * 3 and len(set(found.texts)) == 18 and found.class_set is None
    assert scenes(each=2, categories=["spatial"]).categories == ("spatial",) * 2
    assert [scenes().texts[i] for i in range(18)] == list(found.texts)
    for wrong in ({"each": 0}, {"each": 101}, {"categories": []}, {"categories": ["spatial", "spatial"]}):
        with pytest.raises(Refused):
            scenes(**wrong)
