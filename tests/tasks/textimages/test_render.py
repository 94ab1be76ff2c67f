"""Rendered text: its size, place, angle and colours, measured on the pixels; and the fonts that ship."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from janus_eval.tasks.textimages import render as module
from janus_eval.tasks.textimages.render import CANVAS, FONTS, MARGIN, PITCH, render
from janus_eval.tasks.textimages.words import SCRIPTS, characters, draw_words, words

Box = tuple[int, int, int, int]


def shown(text: str, **knobs: Any) -> Image.Image:
    return render(text, **{"size": 32, "rng": random.Random(0), **knobs}).load()


def ink(image: Image.Image, faintest: int = 0) -> Box:
    """The box around everything that is not white."""
    box = image.convert("L").point(lambda grey: 255 * (255 - grey > faintest)).getbbox()
    assert box is not None
    return box


def lines(image: Image.Image) -> int:
    """Runs of rows with ink."""
    rows = (np.asarray(image.convert("L")) < 250).any(axis=1)
    return int((np.diff(rows.astype(int), prepend=0) == 1).sum())


@pytest.mark.parametrize("font", FONTS)
@pytest.mark.parametrize("size", [8, 12, 32, 96])
def test_the_size_is_that_of_a_chinese_characters_square(font: Any, size: int) -> None:
    left, top, right, bottom = ink(shown("国", size=size, font=font), 100)
    assert 0.75 * size - 1.5 <= right - left <= size + 1
    assert 0.8 * size - 1.5 <= bottom - top <= size + 1
    _, top, _, bottom = ink(shown("x", size=size, font=font), 100)
    assert abs((bottom - top) - 0.52 * size) <= 1 + 0.04 * size  # 0.54 and 0.48 of it


def test_a_generator_places_the_text_and_nothing_else() -> None:
    pictures = [shown("window", rng=random.Random(seed)) for seed in range(6)]
    boxes = [ink(picture) for picture in pictures]
    assert len(set(boxes)) == 6
    assert render("window", size=9, rng=random.Random(5)) == render("window", size=9, rng=random.Random(5))
    for left, top, right, bottom in boxes:
        assert abs((right - left) - (boxes[0][2] - boxes[0][0])) <= 1
        assert min(left, top) >= MARGIN and max(right, bottom) <= CANVAS - MARGIN


def test_letters_keep_their_shape_at_every_size_place_and_angle() -> None:
    """Ink is spread over pixels, not fitted to them: there is as much of it, in font sizes, however a text is shown."""
    sums = {
        (size, angle, seed): 1 - np.asarray(shown("oven", size=size, angle=angle, rng=random.Random(seed))) / 255
        for size, angle in ((8, 0), (8, 10), (8, 90), (11, 0), (32, 0), (96, 0))
        for seed in range(3)
    }
    shares = {knobs: float(ink.sum()) / knobs[0] ** 2 for knobs, ink in sums.items()}
    assert max(shares.values()) < 1.04 * min(shares.values()), shares


def test_angles_turn_counterclockwise() -> None:
    level = shown("lamp", size=40)
    left, top, right, bottom = ink(level)
    quarter = ink(shown("lamp", size=40, angle=90))
    assert abs((quarter[2] - quarter[0]) - (bottom - top)) <= 1
    assert abs((quarter[3] - quarter[1]) - (right - left)) <= 1
    # The ascender of the l is at the left end of the level text, so at the lower one of the turned text.
    turned = np.asarray(shown("lamp", size=40, angle=90).crop(quarter).convert("L"))
    upright = np.asarray(level.crop((left, top, right, bottom)).convert("L").rotate(90, expand=True))
    height, width = (min(a, b) for a, b in zip(turned.shape, upright.shape, strict=True))
    difference = np.abs(turned[:height, :width].astype(int) - upright[:height, :width])
    assert difference.mean() < 25 < np.abs(turned[::-1][:height, :width].astype(int) - upright[:height, :width]).mean()


def test_ink_and_paper() -> None:
    image = shown("国", size=96, ink=(200, 10, 10), paper=(0, 0, 60))
    colours = {colour for _, colour in image.getcolors(CANVAS * CANVAS) or []}
    assert image.getpixel((0, 0)) == (0, 0, 60)
    assert (200, 10, 10) in colours
    for red, green, blue in colours:  # all others lie between the two
        share = red / 200
        assert abs(green - 10 * share) <= 1.5 and abs(blue - (60 - 50 * share)) <= 1.5
    assert shown("x", canvas=64).size == (64, 64)


def test_lines_break_where_they_must() -> None:
    assert lines(shown("noble flame", size=32)) == 1
    assert lines(shown("noble flame", size=96)) == 2
    assert lines(shown("国国国国国国", size=60)) == 1
    assert lines(shown("国国国国国国国", size=60)) == 2
    assert lines(shown("noble 国国国国国 flame", size=60)) == 2
    _, top, _, bottom = ink(shown("国国国国国国国国国国国国国", size=60))
    assert abs((bottom - top) - 60 * (2 * PITCH + 0.92)) < 4
    # A diagonal has room for more than an edge.
    for count, expected in ((7, 1), (9, 2)):
        turned = shown("国" * count, size=60, angle=45)
        assert lines(turned.rotate(-45, expand=True, fillcolor="white")) == expected


@pytest.mark.parametrize("size", [8, 96])
def test_every_word_fits_at_every_size(size: int) -> None:
    face = module._face("serif", size)
    room = (CANVAS - 2 * MARGIN) * module.SCALE
    for script in SCRIPTS:
        for word in words()[script]:
            assert module._layout(word, face, size, 0, room) == [word]


@pytest.mark.parametrize(
    ("text", "size", "message"),
    [
        ("garden bottle brick flame", 96, "at 96 px, turned by 0.0 degrees, does not fit into 384 px"),
        ("café", 32, "the fonts lack 'é' of 'café'"),
        ("two\nlines", 32, r"the fonts lack '\\n'"),
        ("  ", 32, "there is no text to draw"),
        ("", 32, "there is no text to draw"),
    ],
)
def test_what_cannot_be_drawn(text: str, size: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shown(text, size=size)


@pytest.mark.parametrize("font", FONTS)
def test_the_fonts_have_the_words_and_nothing_that_moves_letters(font: str) -> None:
    folder = Path(module.__file__).parent / "fonts"
    file = TTFont(folder / f"{font}.ttf")
    assert set(map(chr, file.getBestCmap())) == characters()
    assert not {"kern", "GPOS", "GSUB", "fpgm", "prep", "cvt "} & set(file.keys())
    # The licence reserves the original's names for the original, and travels with the file.
    names = {record.nameID: record.toUnicode() for record in file["name"].names}
    assert not any(word in names[place] for place in (1, 4, 6) for word in ("Source", "Noto"))
    assert "Adobe" in names[0] and "Open Font License" in names[13]
    licence = (folder / "OFL.txt").read_text(encoding="utf-8")
    assert names[0].rstrip(".") in licence and "SIL OPEN FONT LICENSE Version 1.1" in licence


def test_words() -> None:
    latin, chinese = (words()[script] for script in SCRIPTS)
    assert len(set(latin)) == len(latin) > 250 and len(set(chinese)) == len(chinese) > 200
    assert all(4 <= len(word) <= 6 and word.isascii() and word.islower() for word in latin)
    assert all(len(word) == 2 and not word.isascii() for word in chinese)
    rng = random.Random(3)
    text = draw_words("latin", 8, rng)
    assert len(set(text.split(" "))) == 8 and set(text.split(" ")) <= set(latin)
    assert len(draw_words("chinese", 4, rng)) == 8
