"""The world's own typeface: capital letters and digits, 5 pixels wide and 7 high, drawn at any height."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

COLUMNS = 5
ROWS = 7
SUPERSAMPLING = 4

# Seven rows a glyph, "#" is ink. Every glyph touches its top and bottom row, so that the height of a text can be read
# from any of its letters, and each differs from every other one by several pixels.
_ROWS: dict[str, str] = {
    "A": ".###. #...# #...# ##### #...# #...# #...#",
    "B": "####. #...# #...# ####. #...# #...# ####.",
    "C": ".#### #.... #.... #.... #.... #.... .####",
    "D": "###.. #..#. #...# #...# #...# #..#. ###..",
    "E": "##### #.... #.... ####. #.... #.... #####",
    "F": "##### #.... #.... ####. #.... #.... #....",
    "G": ".#### #.... #.... #.### #...# #...# .####",
    "H": "#...# #...# #...# ##### #...# #...# #...#",
    "I": "##### ..#.. ..#.. ..#.. ..#.. ..#.. #####",
    "J": "..### ....# ....# ....# ....# #...# .###.",
    "K": "#...# #..#. #.#.. ##... #.#.. #..#. #...#",
    "L": "#.... #.... #.... #.... #.... #.... #####",
    "M": "#...# ##.## #.#.# #.#.# #...# #...# #...#",
    "N": "#...# ##..# ##..# #.#.# #..## #..## #...#",
    "O": ".###. #...# #...# #...# #...# #...# .###.",
    "P": "####. #...# #...# ####. #.... #.... #....",
    "Q": ".###. #...# #...# #...# #.#.# #..#. .##.#",
    "R": "####. #...# #...# ####. #.#.. #..#. #...#",
    "S": ".#### #.... #.... .###. ....# ....# ####.",
    "T": "##### ..#.. ..#.. ..#.. ..#.. ..#.. ..#..",
    "U": "#...# #...# #...# #...# #...# #...# .###.",
    "V": "#...# #...# #...# #...# .#.#. .#.#. ..#..",
    "W": "#...# #...# #...# #.#.# #.#.# ##.## #...#",
    "X": "#...# #...# .#.#. ..#.. .#.#. #...# #...#",
    "Y": "#...# #...# .#.#. ..#.. ..#.. ..#.. ..#..",
    "Z": "##### ....# ...#. ..#.. .#... #.... #####",
    "0": ".###. #...# #..## #.#.# ##..# #...# .###.",
    "1": "..#.. .##.. #.#.. ..#.. ..#.. ..#.. #####",
    "2": ".###. #...# ....# ..##. .#... #.... #####",
    "3": "####. ....# ....# .###. ....# ....# ####.",
    "4": "...#. ..##. .#.#. #..#. ##### ...#. ...#.",
    "5": "##### #.... ####. ....# ....# #...# .###.",
    "6": "..##. .#... #.... ####. #...# #...# .###.",
    "7": "##### ....# ...#. ..#.. ..#.. .#... .#...",
    "8": ".###. #...# #...# .###. #...# #...# .###.",
    "9": ".###. #...# #...# .#### ....# ...#. .##..",
}

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
CHARACTERS = LETTERS + DIGITS


@cache
def bitmap(character: str) -> NDArray[np.bool_]:
    """Ink of a character, bool [7, 5]."""
    return np.array([[cell == "#" for cell in row] for row in _ROWS[character].split()])


def width(height: int) -> int:
    """Pixels that a glyph of this height takes in width, rounded up: a 5 to 7 cell."""
    return -(-COLUMNS * height // ROWS)


def advance(height: int) -> int:
    """Pixels from one glyph's left edge to the next one's: its width and one font pixel, at least one real one."""
    return width(height) + max(1, round(height / ROWS))


@cache
def coverage(character: str, height: int) -> NDArray[np.float32]:
    """Share of ink in each pixel, float32 [height, width(height)]: sampled at four times the size, averaged down."""
    ink = bitmap(character)
    samples = SUPERSAMPLING * height
    font_pixel = samples / ROWS
    rows = np.minimum((np.arange(samples) / font_pixel).astype(int), ROWS - 1)
    columns = (np.arange(SUPERSAMPLING * width(height)) / font_pixel).astype(int)
    padded = np.pad(ink, ((0, 0), (0, 1)))
    fine = padded[rows][:, np.minimum(columns, COLUMNS)].astype(np.float32)
    blocks = fine.reshape(height, SUPERSAMPLING, width(height), SUPERSAMPLING)
    result: NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    result.setflags(write=False)
    return result
