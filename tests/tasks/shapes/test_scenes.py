"""Scenes and rendering: what is drawn lies where it should, and the hold-outs are what the table says."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from janus_eval.tasks.shapes import font, scenes
from janus_eval.tasks.shapes.scenes import COLOURS, GROUND, INK, PALETTE, SHAPES, Scene, Thing, Writing, render


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("radius", [5, 8, 12, 18])
def test_a_shape_stays_inside_its_square_and_fills_much_of_it(shape: str, radius: int) -> None:
    pixels = render(Scene((Thing(shape, "blue", 32, 30, radius),)))
    covered = (pixels != GROUND).any(axis=2)
    rows, columns = np.flatnonzero(covered.any(axis=1)), np.flatnonzero(covered.any(axis=0))
    assert (columns[0], columns[-1]) >= (32 - radius, 0)
    assert columns[-1] < 32 + radius
    assert rows[0] >= 30 - radius
    assert rows[-1] < 30 + radius
    assert covered.sum() > 0.3 * (2 * radius) ** 2
    assert tuple(pixels[30, 32]) == PALETTE["blue"]


def test_the_same_thing_gives_the_same_tokens_wherever_it_stands() -> None:
    first = render(Scene((Thing("star", "red", 16, 24, 10),)))
    second = render(Scene((Thing("star", "red", 40, 32, 10),)))
    assert (first[8:40, 0:32] == second[16:48, 24:56]).all()


def test_things_are_clipped_at_the_border() -> None:
    pixels = render(Scene((Thing("square", "green", 0, 64, 10),)))
    assert tuple(pixels[63, 0]) == PALETTE["green"]
    assert tuple(pixels[40, 20]) == GROUND


def test_colours_lie_apart_from_each_other_and_from_blended_edges() -> None:
    ground = np.array(GROUND, dtype=float)
    for (_, a), (_, b) in itertools.permutations(PALETTE.items(), 2):
        assert np.linalg.norm(np.subtract(a, b)) >= 85
        blends = [ground + share * (np.array(a) - ground) for share in (0.3, 0.5, 0.7)]
        assert min(np.linalg.norm(blend - b) for blend in blends) > 55


def test_glyphs_differ_and_touch_all_four_sides() -> None:
    for character in font.CHARACTERS:
        ink = font.bitmap(character)
        assert ink.shape == (7, 5)
        # The reader takes a text's height and a glyph's width from where the ink ends.
        assert ink[0].any() and ink[-1].any() and ink[:, 0].any() and ink[:, -1].any(), character
    for a, b in itertools.combinations(font.CHARACTERS, 2):
        assert (font.bitmap(a) != font.bitmap(b)).sum() >= 2, (a, b)


def test_writing_has_its_height_and_width() -> None:
    writing = Writing("HE", 5, 7, 14, font.advance(14))
    dark = (render(Scene(writings=(writing,))) == INK).all(axis=2)
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    assert (rows[0], rows[-1] + 1) == (7, 21)
    assert (columns[0], columns[-1] + 1) == (5, 5 + writing.width)


@pytest.mark.parametrize(
    ("dx", "dy", "name"),
    [(16, 10, "left of"), (-16, 0, "right of"), (8, 24, "above"), (0, -8, "below"), (24, 16, None), (0, 0, None)],
)
def test_a_relation_needs_an_axis_that_clearly_dominates(dx: int, dy: int, name: str | None) -> None:
    assert scenes.relation(dx, dy) == name


def test_held_out_tables() -> None:
    for colour in COLOURS:
        assert sum(scenes.pair_seen(colour, shape) for shape in SHAPES) >= 3
    for shape in SHAPES:
        assert len(scenes.seen_colours(shape)) >= 6
        assert len(scenes.seen_counts(shape)) >= 3
    words = ["".join(pair) for pair in itertools.product(font.LETTERS, repeat=2)]
    assert 0.15 < sum(not scenes.word_seen(word) for word in words) / len(words) < 0.25
    assert all(scenes.word_seen(character) for character in font.CHARACTERS)


def test_is_seen() -> None:
    star = Thing("star", "red", 10, 10, 8)
    assert scenes.is_seen(Scene((star, star)))
    assert not scenes.is_seen(Scene((star, star, star)))
    assert not scenes.is_seen(Scene((Thing("star", "green", 10, 10, 8),)))
    held_out = next(word for word in ("AA", "AB", "AC", "AD", "AE", "AF", "AG") if not scenes.word_seen(word))
    assert not scenes.is_seen(Scene(writings=(Writing(held_out, 0, 0, 14, 16),)))
