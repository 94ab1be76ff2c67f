"""Text as a picture: ``render`` draws a text on a plain square, wrapped, turned, and placed at random.

    rng = random.Random(seed_of(0, "my task", "my sample", 0))  # janus_eval.randomness
    picture = render("garden window", font="serif", size=16, angle=10, rng=rng)

Glyphs are drawn at ``SCALE`` times the size, turned there, and averaged down. So a letter keeps its shape at every
size, angle and place, where drawing it at 8 px would fit it to the pixel grid as this version of FreeType sees fit.
The fonts have no kerning and no hinting, and Pillow's basic layout needs no further library: what is left to differ
between machines is the rounding of FreeType and Pillow.
"""

from __future__ import annotations

import math
import random
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

from PIL import Image, ImageDraw, ImageFont

from janus_eval.pictures import Picture
from janus_eval.tasks.textimages.words import characters, is_han

Font: TypeAlias = Literal["sans", "serif"]
FONTS: tuple[Font, ...] = ("sans", "serif")
Colour: TypeAlias = tuple[int, int, int]

CANVAS = 384
"""Side in pixels of the square that Janus sees, so that its processor scales nothing."""
SCALE = 4
MARGIN = 8
"""Pixels that stay free of ink at every edge."""
PITCH = 1.3
"""From one line's baseline to the next's, in font sizes."""
TALLEST = 1.2
"""Height in font sizes that no line's ink passes."""


def render(
    text: str,
    *,
    font: Font = "sans",
    size: int,
    angle: float = 0.0,
    ink: Colour = (0, 0, 0),
    paper: Colour = (255, 255, 255),
    canvas: int = CANVAS,
    rng: random.Random,
) -> Picture:
    """A square PNG of ``canvas`` pixels with the text on it.

    ``size``: font size in pixels, the height of a Chinese character's square; small Latin letters are half as high.
    ``angle``: degrees, counterclockwise. ``rng`` places the text and does nothing else. Lines break at spaces and
    between Chinese characters, as few as fit, flush left.
    Raises ValueError for a text that does not fit, is empty, or has characters that the fonts lack.
    """
    lacking = "".join(sorted(set(text) - characters()))
    if lacking or not text.strip():
        raise ValueError(f"the fonts lack {lacking!r} of {text!r}" if lacking else "there is no text to draw")
    face = _face(font, size)
    lines = _layout(text, face, size, angle, (canvas - 2 * MARGIN) * SCALE)
    if lines is None:
        raise ValueError(f"{text!r} at {size} px, turned by {angle} degrees, does not fit into {canvas} px")
    block = _block(lines, face, size)
    if angle:
        turned = block.rotate(angle, Image.Resampling.BICUBIC, expand=True)
        block = turned.crop(turned.getbbox())
    start, stop = MARGIN * SCALE, (canvas - MARGIN) * SCALE
    # Ink may hang over its line's ends by a hair; then it begins at the margin.
    left, top = (rng.randint(start, max(start, stop - extent)) for extent in block.size)
    coverage = Image.new("L", (canvas, canvas))
    coverage.paste(_averaged(block, left % SCALE, top % SCALE), (left // SCALE, top // SCALE))
    ground, front = (Image.new("RGB", (canvas, canvas), colour) for colour in (paper, ink))
    return Picture.from_pil(Image.composite(front, ground, coverage))


def _averaged(block: Image.Image, left: int, top: int) -> Image.Image:
    """The block reduced to its real size, from a grid that begins ``left`` and ``top`` fine pixels before it."""
    width, height = (-(-extent // SCALE) * SCALE for extent in (left + block.width, top + block.height))
    fine = Image.new("L", (width, height))
    fine.paste(block, (left, top))
    return fine.reduce(SCALE)


def _layout(text: str, face: ImageFont.FreeTypeFont, size: int, angle: float, room: int) -> list[str] | None:
    """The fewest lines whose turned rectangle fits into ``room`` x ``room``; None if no number of them does."""
    cosine, sine = abs(math.cos(math.radians(angle))), abs(math.sin(math.radians(angle)))
    for limit in range(3 * room // 2, 0, -size * SCALE // 2):  # the room's diagonal is no longer than that
        lines = _wrapped(text, face, limit)
        width = max(face.getlength(line) for line in lines)
        height = (PITCH * (len(lines) - 1) + TALLEST) * size * SCALE
        if max(width * cosine + height * sine, width * sine + height * cosine) <= room:
            return lines
    return None


@cache
def _face(font: Font, size: int) -> ImageFont.FreeTypeFont:
    path = Path(__file__).parent / "fonts" / f"{font}.ttf"
    return ImageFont.truetype(path, size * SCALE, layout_engine=ImageFont.Layout.BASIC)


def _block(lines: list[str], face: ImageFont.FreeTypeFont, size: int) -> Image.Image:
    """Lines flush left as coverage, 0 to 255, cut to the ink."""
    pitch = round(PITCH * size * SCALE)
    width = round(max(face.getlength(line) for line in lines)) + 2 * pitch
    image = Image.new("L", (width, (len(lines) + 2) * pitch))
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines, 1):
        draw.text((pitch, (number + 0.5) * pitch), line, fill=255, font=face, anchor="ls")
    return image.crop(image.getbbox())


def _wrapped(text: str, face: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Lines of at most this width, each filled as far as it goes; a piece that is wider has a line of its own."""
    lines: list[str] = []
    for piece in _pieces(text):
        if lines and face.getlength((lines[-1] + piece).strip()) <= width:
            lines[-1] += piece
        else:
            lines.append(piece)
    return [line.strip() for line in lines]


def _pieces(text: str) -> list[str]:
    """What lines are made of: words and single Chinese characters, each with the space after it."""
    pieces = [""]
    for character in text.strip():
        before = pieces[-1][-1:]
        if character != " " and before and (before == " " or is_han(character) or is_han(before)):
            pieces.append("")
        pieces[-1] += character
    return pieces
