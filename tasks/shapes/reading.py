"""Reads digits and words in a picture: dark ink, cut into lines and characters, matched with the typeface."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from janus_eval.tasks.shapes import font
from janus_eval.tasks.shapes.scenes import CANVAS, GROUND, INK, Pixels

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Ink and its soft edges are grey; the dullest colour, brown, has 95 between its channels, half covered 48.
MAX_CHROMA = 45.0
# A pixel with less ink than this is empty. The thinnest strokes (0.7 px, at a glyph height of 5) leave about a third.
FAINT = 0.25
# Every writing has darker pixels somewhere; the seam between two complementary colours is grey, but never so dark.
DARK = 0.5
MIN_HEIGHT = 4
# Fewer pixels of ink than this are dirt.
MIN_INK = 4
# A region whose characters overlap less with the typeface, on average, is no writing.
MIN_OVERLAP = 0.3


class Region(NamedTuple):
    """A line of writing: its text, box (x0, y0, x1, y1) in pixels, mean overlap with the typeface in [0, 1]."""

    text: str
    box: tuple[int, int, int, int]
    score: float


class Span(NamedTuple):
    """Pixels from ``start`` up to but not including ``stop``."""

    start: int
    stop: int


class Match(NamedTuple):
    """The character that fits best, and the soft intersection over union with it."""

    character: str
    overlap: float


def read(pixels: Pixels) -> list[Region]:
    """All lines of writing in a picture, uint8 [64, 64, 3], from top to bottom."""
    assert pixels.shape == (CANVAS, CANVAS, 3), f"expected 64 x 64 x 3 pixels, got {pixels.shape}"
    ink = _ink(pixels.astype(np.float32))
    regions = []
    for rows in _spans(np.any(_without_dirt(ink > FAINT), axis=1)):
        if rows.stop - rows.start >= MIN_HEIGHT and ink[rows.start : rows.stop].max() > DARK:
            region = _read_line(ink, rows)
            if region is not None and region.score >= MIN_OVERLAP:
                regions.append(region)
    return regions


def _ink(image: Floats) -> Floats:
    """Share of ink in every pixel: how far it lies on the way from the ground to the ink, nothing where coloured."""
    chroma = image.max(axis=2) - image.min(axis=2)
    share = (GROUND[0] - image.mean(axis=2)) / (GROUND[0] - INK[0])
    result: Floats = np.where(chroma < MAX_CHROMA, np.clip(share, 0.0, 1.0), 0.0).astype(np.float32)
    return result


def _without_dirt(dark: Mask) -> Mask:
    labels, count = ndimage.label(dark, np.ones((3, 3), dtype=bool))
    areas = ndimage.sum_labels(dark, labels, np.arange(count + 1))
    result: Mask = (areas >= MIN_INK)[labels] & dark
    return result


def _spans(filled: NDArray[np.bool_]) -> list[Span]:
    """Runs of True in a line of booleans."""
    steps = np.diff(np.concatenate([[False], filled, [False]]).astype(np.int8))
    return [Span(int(a), int(b)) for a, b in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)]


def _read_line(ink: Floats, rows: Span) -> Region | None:
    line = ink[rows.start : rows.stop]
    dark = _without_dirt(line > FAINT)
    height = rows.stop - rows.start
    found: list[tuple[Span, Match]] = []
    for columns in _spans(np.any(dark, axis=0)):
        for part in _cut(columns, line, height):
            match = _match(ink, rows, part)
            if match is not None:
                found.append((part, match))
    if not found:
        return None
    box = (found[0][0].start, rows.start, found[-1][0].stop, rows.stop)
    score = float(np.mean([match.overlap for _, match in found]))
    return Region("".join(match.character for _, match in found), box, score)


def _cut(columns: Span, line: Floats, height: int) -> list[Span]:
    """Cut a run of inked columns that is too wide for one glyph at its faintest columns, once a glyph."""
    width = columns.stop - columns.start
    expected = font.COLUMNS * height / font.ROWS
    count = max(1, round((width + expected / font.COLUMNS) / (expected * (1 + 1 / font.COLUMNS))))
    if width <= expected + 2 or count == 1:
        return [columns]
    profile = line.sum(axis=0)
    cuts = [columns.start]
    for number in range(1, count):
        middle = columns.start + width * number / count
        near = range(max(round(middle) - 2, cuts[-1] + 1), min(round(middle) + 3, columns.stop - 1))
        if near:
            cuts.append(min(near, key=lambda column: (profile[column], abs(column - middle))))
    return [Span(a, b) for a, b in zip(cuts, [*cuts[1:], columns.stop], strict=True) if b > a]


@cache
def _glyphs(height: int) -> Floats:
    """All characters at one height, [36, height, width]."""
    return np.stack([font.coverage(character, height) for character in font.CHARACTERS])


def _match(ink: Floats, rows: Span, columns: Span) -> Match | None:
    """The character whose glyph, at this height or a pixel more or less and at any place within a pixel, fits best.

    None for a speck that is far smaller than a glyph.
    """
    height, span = rows.stop - rows.start, columns.stop - columns.start
    if span < 0.3 * font.width(height):
        return None
    margin = 3
    own = np.zeros_like(ink)
    own[rows.start : rows.stop, columns.start : columns.stop] = ink[
        rows.start : rows.stop, columns.start : columns.stop
    ]
    field = np.pad(own, font.width(CANVAS))
    offset = font.width(CANVAS)
    best = Match("", -1.0)
    mass = float(own.sum())
    for tall in (height, height - 1, height + 1):
        if not MIN_HEIGHT <= tall <= CANVAS:
            continue
        glyphs = _glyphs(tall)
        wide = glyphs.shape[2]
        totals = glyphs.sum(axis=(1, 2))
        slack = max(-margin, min(margin, span - wide))
        for y in _near(rows.start, height - tall):
            for x in _near(columns.start, slack):
                patch = field[y + offset : y + offset + tall, x + offset : x + offset + wide]
                common = np.minimum(glyphs, patch).sum(axis=(1, 2))
                overlap = common / (mass + totals - common)
                place = int(overlap.argmax())
                if overlap[place] > best.overlap:
                    best = Match(font.CHARACTERS[place], float(overlap[place]))
        if best.overlap > 0.97:  # as good as printed: no other height can be better
            break
    return best


def _near(start: int, slack: int) -> range:
    """Places from which a glyph that is ``slack`` smaller (or larger, if negative) than its room can start."""
    return range(start + min(slack, 0), start + max(slack, 0) + 1)
