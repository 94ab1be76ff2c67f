"""What a picture of the world holds, how it is drawn, and what training never shows."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from janus_eval.pictures import Picture
from janus_eval.tasks.shapes import font

Pixels: TypeAlias = NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]

CANVAS = 64
GROUND: Colour = (235, 235, 235)
INK: Colour = (30, 30, 30)
# Names as GenEval's. Any two lie at least 85 apart in RGB, and none lies on the line from another one to the ground,
# so that a blurred edge isn't taken for another colour.
PALETTE: dict[str, Colour] = {
    "red": (220, 25, 30),
    "orange": (250, 140, 0),
    "yellow": (250, 225, 10),
    "green": (20, 160, 55),
    "blue": (30, 70, 225),
    "purple": (125, 30, 170),
    "pink": (255, 105, 205),
    "brown": (115, 65, 20),
}
COLOURS = tuple(PALETTE)
SHAPES = ("circle", "square", "triangle", "star")
SUPERSAMPLING = 4

# The nano tokenizer makes one token of 8 x 8 pixels. With all centres on multiples of 8, the same object gives the same
# tokens wherever it stands, so that a small decoder learns each object once and not once an offset.
LATTICE = 8
MIN_GAP = 3
# A relation is drawn (and asked about) only where one axis clearly dominates.
DOMINANCE = 1.6
# A written character fills a cell of 2 x 2 tokens: a glyph of 10 x 14 pixels, so much in from the cell's corner.
CELL = 16
CELL_GLYPH_HEIGHT = 14
CELL_MARGIN = (3, 1)

# The hold-outs: no picture, caption, question or answer of the curriculum shows or names any of these. Every colour,
# shape and count still occurs often in other company.
HELD_OUT_PAIRS = frozenset({("orange", "circle"), ("pink", "square"), ("blue", "triangle"), ("green", "star")})
HELD_OUT_COUNTS = frozenset({(4, "circle"), (3, "star")})
# A fifth of all words of two to four characters, by a checksum: a rule, since the words are too many for a table.
HELD_OUT_WORDS = 5


@dataclass(frozen=True, slots=True)
class Thing:
    """A coloured shape: centre (x right, y down) in pixels, ``radius`` half the side of the square it fits into."""

    shape: str
    colour: str
    x: int
    y: int
    radius: int


@dataclass(frozen=True, slots=True)
class Writing:
    """A word or digit: top left corner of its first glyph, glyph height, pixels from one glyph to the next."""

    text: str
    x: int
    y: int
    height: int
    advance: int

    @property
    def width(self) -> int:
        return (len(self.text) - 1) * self.advance + font.width(self.height)


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a picture shows. Later things are drawn over earlier ones, writing over all."""

    things: tuple[Thing, ...] = ()
    writings: tuple[Writing, ...] = ()

    def with_shape(self, shape: str) -> list[Thing]:
        return [thing for thing in self.things if thing.shape == shape]


def pair_seen(colour: str, shape: str) -> bool:
    """Whether training shows things of this colour and shape."""
    return (colour, shape) not in HELD_OUT_PAIRS


def count_seen(count: int, shape: str) -> bool:
    """Whether training shows exactly so many things of a shape in one picture."""
    return (count, shape) not in HELD_OUT_COUNTS


def word_seen(text: str) -> bool:
    """Whether training shows this text; single characters it always does."""
    return len(text) < 2 or zlib.crc32(text.encode()) % HELD_OUT_WORDS != 0


def is_seen(scene: Scene) -> bool:
    """Whether training could show this scene: none of its pairs, counts and words is held out."""
    counts = Counter(thing.shape for thing in scene.things)
    return (
        all(pair_seen(thing.colour, thing.shape) for thing in scene.things)
        and all(count_seen(count, shape) for shape, count in counts.items())
        and all(word_seen(writing.text) for writing in scene.writings)
    )


def seen_colours(shape: str) -> list[str]:
    """The colours in which training shows a shape."""
    return [colour for colour in COLOURS if pair_seen(colour, shape)]


def seen_counts(shape: str, counts: Iterable[int] = (1, 2, 3, 4)) -> list[int]:
    """The counts in which training shows a shape."""
    return [count for count in counts if count_seen(count, shape)]


def _outline(shape: str) -> list[tuple[float, float]]:
    """Corners of a shape in units of its radius, y down. A circle has none."""
    if shape == "square":
        return [(-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)]
    if shape == "triangle":
        return [(0.0, -1.0), (0.98, 0.8), (-0.98, 0.8)]
    # Fatter than a drawn pentagram (inner radius 0.38), whose points would not survive eight-pixel tokens.
    angles = [np.pi * step / 5 - np.pi / 2 for step in range(10)]
    radii = [1.0 if step % 2 == 0 else 0.45 for step in range(10)]
    return [(float(r * np.cos(a)), float(r * np.sin(a))) for a, r in zip(angles, radii, strict=True)]


def _inside(shape: str, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether points, in units of the radius, lie inside a shape (even-odd rule for the polygons)."""
    if shape == "circle":
        return np.asarray(x * x + y * y <= 1.0)
    corners = _outline(shape)
    inside = np.zeros(np.broadcast(x, y).shape, dtype=bool)
    for (ax, ay), (bx, by) in zip(corners, corners[1:] + corners[:1], strict=True):
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return inside


@cache
def coverage(shape: str, radius: float) -> NDArray[np.float32]:
    """Share of each pixel that a shape covers, float32 [2n, 2n] with n the radius rounded up, centre in the middle."""
    half = int(np.ceil(radius))
    steps = (np.arange(2 * half * SUPERSAMPLING) + 0.5) / SUPERSAMPLING - half
    fine = _inside(shape, (steps / radius)[None, :], (steps / radius)[:, None]).astype(np.float32)
    blocks = fine.reshape(2 * half, SUPERSAMPLING, 2 * half, SUPERSAMPLING)
    result: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    result.setflags(write=False)
    return result


def lay(canvas: NDArray[np.float32], cover: NDArray[np.float32], colour: tuple[int, ...], left: int, top: int) -> None:
    """Lay a colour, a number a channel, over the canvas in place, clipped at its border."""
    height, width = cover.shape
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + width, CANVAS), min(top + height, CANVAS)
    if x0 >= x1 or y0 >= y1:
        return
    share = cover[y0 - top : y1 - top, x0 - left : x1 - left, None]
    patch = canvas[y0:y1, x0:x1]
    patch += share * (np.asarray(colour, dtype=np.float32) - patch)


def render(scene: Scene) -> Pixels:
    """Draw a scene, uint8 [64, 64, 3]. Edges are averaged down from four times the size."""
    canvas = np.empty((CANVAS, CANVAS, 3), dtype=np.float32)
    canvas[:] = GROUND
    for thing in scene.things:
        cover = coverage(thing.shape, thing.radius)
        half = cover.shape[0] // 2
        lay(canvas, cover, PALETTE[thing.colour], thing.x - half, thing.y - half)
    for writing in scene.writings:
        for place, character in enumerate(writing.text):
            cover = font.coverage(character, writing.height)
            lay(canvas, cover, INK, writing.x + place * writing.advance, writing.y)
    return np.rint(canvas).astype(np.uint8)


def to_picture(pixels: Pixels) -> Picture:
    """Encode drawn pixels as a PNG."""
    return Picture.from_pil(Image.fromarray(pixels))


def gap(a: Thing, b: Thing) -> int:
    """Pixels between the squares that two things fit into; negative where they overlap."""
    reach = a.radius + b.radius
    return max(abs(a.x - b.x), abs(a.y - b.y)) - reach


def relation(dx: float, dy: float) -> str | None:
    """How a thing stands to another one that is (dx, dy) away from it, None where no axis dominates."""
    if abs(dx) >= DOMINANCE * abs(dy) and dx != 0:
        return "left of" if dx > 0 else "right of"
    if abs(dy) >= DOMINANCE * abs(dx) and dy != 0:
        return "above" if dy > 0 else "below"
    return None
