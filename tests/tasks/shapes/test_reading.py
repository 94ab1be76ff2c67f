"""The reader against texts that it doesn't know."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from janus_eval.tasks.shapes import curriculum, font
from janus_eval.tasks.shapes.descriptions import write_in_cells
from janus_eval.tasks.shapes.reading import read
from janus_eval.tasks.shapes.scenes import Pixels, Scene, Thing, Writing, render


def _texts(pixels: Pixels) -> list[str]:
    return [region.text for region in read(pixels)]


@pytest.mark.parametrize("height", curriculum.DIGIT_HEIGHTS)
def test_every_digit_at_every_height(height: int) -> None:
    rng = random.Random(height)
    for digit in font.DIGITS:
        assert _texts(render(Scene(writings=(curriculum.writing_anywhere(digit, height, rng),)))) == [digit]


@pytest.mark.parametrize("height", [*curriculum.WORD_HEIGHTS, None])
def test_words_at_every_height_and_in_cells(height: int | None) -> None:
    rng = random.Random(1)
    for seen in [True] * 20 + [False] * 10:
        word = curriculum.random_word(rng, seen=seen)
        writing = curriculum.writing_anywhere(word, height, rng) if height else write_in_cells(word, rng)
        assert _texts(render(Scene(writings=(writing,)))) == [word]


def test_every_character_is_told_from_every_other() -> None:
    for character in font.CHARACTERS:
        assert _texts(render(Scene(writings=(Writing(character, 20, 20, 14, 16),)))) == [character]


def test_blurred_cells_are_read(degraded: Callable[[Pixels, float, float], Pixels]) -> None:
    rng = random.Random(2)
    words = [curriculum.random_word(rng) for _ in range(60)]
    pictures = [render(Scene(writings=(write_in_cells(word, rng),))) for word in words]
    right = sum(_texts(degraded(picture, 0.6, 8.0)) == [word] for word, picture in zip(words, pictures, strict=True))
    assert right >= 59


def test_lines_come_from_top_to_bottom_with_their_boxes() -> None:
    scene = Scene(writings=(Writing("NO", 4, 40, 14, 12), Writing("GO", 20, 5, 10, 9)))
    first, second = read(render(scene))
    assert (first.text, first.box) == ("GO", (20, 5, 36, 15))
    assert (second.text, second.box) == ("NO", (4, 40, 26, 54))
    assert min(first.score, second.score) > 0.9


def test_shapes_and_ground_are_no_writing() -> None:
    assert read(render(Scene())) == []
    rng = random.Random(3)
    for _ in range(150):
        assert read(render(curriculum.random_scene(rng, seen=False))) == []
    assert read(render(Scene((Thing("star", "brown", 16, 16, 12),)))) == []
