"""Finds the world's coloured shapes in a picture, and knows nothing of how it was made.

Colours come from pixels that are sure of theirs, shapes from the template that covers a region best. Made for pictures
that a model drew as well: edges may be soft and colours impure, and a region that fits no template gets a low score.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from janus_eval.tasks.shapes import scenes
from janus_eval.tasks.shapes.scenes import CANVAS, COLOURS, GROUND, PALETTE, SHAPES, Pixels

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

RADII = range(5, 19)
# Half an edge pixel of red over the ground lies 80 away from pink; a pixel nearer than this is no such blend.
SURE = 55.0
# Writing and its soft edges are grey; the dullest colour, brown, has 95 between its channels, a half-covered pixel 48.
MIN_CHROMA = 40.0
# A star of radius 5 covers 33 pixels. Less than this is dirt.
MIN_AREA = 10
# A region that no single template covers so well is tried as two or more that touch.
SPLIT_BELOW = 0.86
# From overlap with the best template to confidence: rendered shapes overlap by 0.98 and more, blurred ones by 0.75.
SCORE_ZERO, SCORE_ONE = 0.5, 0.8

# Of a rendered shape's middle all pixels are sure of their colour; with fewer than this share confidence falls.
PURE = 0.8

_PALETTE: Floats = np.array([PALETTE[name] for name in COLOURS], dtype=np.float32)
_GROUND: Floats = np.array(GROUND, dtype=np.float32)
_FROM_GROUND: Floats = _PALETTE - _GROUND
_CROSS = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True, eq=False)
class Detection:
    """One shape. ``x``, ``y``, ``radius`` in pixels of the 64-pixel canvas; ``mask`` bool [64, 64]."""

    shape: str
    colour: str
    x: float
    y: float
    radius: float
    box: tuple[int, int, int, int]
    overlap: float
    purity: float
    mask: Mask

    @property
    def score(self) -> float:
        """Confidence in [0, 1]: how well shape and colour both fit."""
        shape = np.clip((self.overlap - SCORE_ZERO) / (SCORE_ONE - SCORE_ZERO), 0.0, 1.0)
        return float(shape * min(1.0, self.purity / PURE))


class Fit(NamedTuple):
    """The template that covers a region best, and the soft intersection over union with it."""

    overlap: float
    shape: str
    x: int
    y: int
    radius: int


def detect(pixels: Pixels) -> list[Detection]:
    """All shapes in a picture, uint8 [64, 64, 3], largest first."""
    assert pixels.shape == (CANVAS, CANVAS, 3), f"expected 64 x 64 x 3 pixels, got {pixels.shape}"
    image = pixels.astype(np.float32)
    colour_of, sure = assign_colours(image)
    found: list[Detection] = []
    for index, name in enumerate(COLOURS):
        own = colour_of == index
        if not own.any():
            continue
        # How far each pixel lies on the way from the ground to the colour: the share of it that the shape covers.
        way = _FROM_GROUND[index]
        cover = np.clip((image - _GROUND) @ way / float(way @ way), 0.0, 1.0)
        labels, count = ndimage.label(own & (cover > 0.5), _CROSS)
        for label in range(1, count + 1):
            for mask, fit in _explain(labels == label, cover):
                middle = ndimage.binary_erosion(mask, _CROSS, border_value=1)
                purity = float(sure[middle if middle.any() else mask].mean())
                found.append(
                    Detection(fit.shape, name, fit.x, fit.y, fit.radius, _box(mask), fit.overlap, purity, mask)
                )
    return sorted(found, key=lambda detection: -int(detection.mask.sum()))


def _box(mask: Mask) -> tuple[int, int, int, int]:
    """x0, y0, x1, y1 of a mask, right and lower edge exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def assign_colours(image: Floats) -> tuple[NDArray[np.int8], Mask]:
    """Index of the palette colour that each pixel of a float32 RGB image belongs to (-1 for ground and writing), and
    whether it is sure of it; both [64, 64].

    A pixel is sure of its colour if it lies near it; blended pixels (edges, the seam between two shapes) take the
    colour of the nearest place that is the middle of a region.
    """
    flat = image.reshape(-1, 3)
    distance = (flat**2).sum(axis=1)[:, None] - 2 * flat @ _PALETTE.T + (_PALETTE**2).sum(axis=1)
    nearest = distance.argmin(axis=1).reshape(image.shape[:2]).astype(np.int8)
    least = np.sqrt(np.maximum(distance.min(axis=1), 0.0)).reshape(nearest.shape)
    chroma = image.max(axis=2) - image.min(axis=2)
    away = np.sqrt(((image - _GROUND) ** 2).sum(axis=2))
    coloured = (chroma > MIN_CHROMA) & (away > 40.0)
    core = np.zeros(nearest.shape, dtype=bool)
    for index in np.unique(nearest[coloured]):
        own = coloured & (nearest == index)
        core |= _core(own, own & (least < SURE))
    if not core.any():
        return np.full(nearest.shape, -1, dtype=np.int8), core
    rows, columns = ndimage.distance_transform_edt(~core, return_distances=False, return_indices=True)
    present = np.isin(nearest, np.unique(nearest[core]))
    keeps = present & (least < SURE)
    assigned = np.where(keeps, nearest, nearest[rows, columns])
    result: NDArray[np.int8] = np.where(coloured, assigned, -1).astype(np.int8)
    return result, least < SURE


def _core(own: Mask, sure: Mask) -> Mask:
    """Pixels in the middle of a region of one colour; all of a small region that is too thin to have a middle."""
    core = ndimage.binary_erosion(own, _CROSS, border_value=1)
    labels, count = ndimage.label(sure, _CROSS)
    if count:
        areas = ndimage.sum_labels(sure, labels, np.arange(1, count + 1))
        has_core = np.zeros(count + 1, dtype=bool)
        has_core[np.unique(labels[core])] = True
        thin = np.concatenate([[False], (areas >= MIN_AREA // 2) & ~has_core[1:]])
        core |= thin[labels]
    return core


def _explain(region: Mask, cover: Floats) -> list[tuple[Mask, Fit]]:
    """One template for a connected region, or one for each part where it is better taken as several that touch."""
    if region.sum() < MIN_AREA:
        return []
    whole = fit_shape(region, cover)
    if whole.overlap >= SPLIT_BELOW:
        return [(region, whole)]
    for rounds in (1, 2, 3):
        eroded = ndimage.binary_erosion(region, _CROSS, iterations=rounds, border_value=1)
        labels, count = ndimage.label(eroded, _CROSS)
        areas = ndimage.sum_labels(eroded, labels, np.arange(1, count + 1))
        if (areas >= 4).sum() < 2:
            continue
        keep = np.flatnonzero(areas >= 4) + 1
        labels = np.where(np.isin(labels, keep), labels, 0)
        rows, columns = ndimage.distance_transform_edt(labels == 0, return_distances=False, return_indices=True)
        owner = np.where(region, labels[rows, columns], 0)
        parts = [owner == label for label in keep]
        fits = [fit_shape(part, cover) for part in parts]
        if min(fit.overlap for fit in fits) > whole.overlap:
            return list(zip(parts, fits, strict=True))
    return [(region, whole)]


@cache
def _template(shape: str, radius: int) -> tuple[Floats, float]:
    cover = scenes.coverage(shape, radius)
    return cover, float(cover.sum())


@cache
def _extents(shape: str, radius: int) -> tuple[int, int, int, int]:
    """Bounding box of the pixels that a shape covers by half or more, relative to its centre."""
    cover = scenes.coverage(shape, radius) > 0.5
    x0, y0, x1, y1 = _box(cover)
    return x0 - radius, y0 - radius, x1 - radius, y1 - radius


def fit_shape(region: Mask, cover: Floats) -> Fit:
    """The template, over shapes, radii and places, whose soft overlap with the region is largest.

    Sides of the region at the picture's border may be cut off there; the others fix place and size. ``cover`` is the
    share of the region's colour in every pixel.
    """
    box = _box(region)
    soft = np.where(ndimage.binary_dilation(region, _CROSS), cover, np.float32(0.0))
    best = Fit(0.0, SHAPES[0], (box[0] + box[2]) // 2, (box[1] + box[3]) // 2, RADII[0])
    mass = float(soft.sum())
    for shape, radius, x, y in _candidates(box):
        template, area = _template(shape, radius)
        left, top = x - radius, y - radius
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(x + radius, CANVAS), min(y + radius, CANVAS)
        if x0 >= x1 or y0 >= y1:
            continue
        part = template[y0 - top : y1 - top, x0 - left : x1 - left]
        common = float(np.minimum(soft[y0:y1, x0:x1], part).sum())
        shown = area if part.shape == template.shape else float(part.sum())
        overlap = common / (mass + shown - common)
        if overlap > best.overlap:
            best = Fit(overlap, shape, x, y, radius)
    return best


def _candidates(box: tuple[int, int, int, int]) -> Iterator[tuple[str, int, int, int]]:
    """Shapes, radii and centres that could have this bounding box, give or take a pixel."""
    x0, y0, x1, y1 = box
    cut_left, cut_top, cut_right, cut_bottom = x0 == 0, y0 == 0, x1 == CANVAS, y1 == CANVAS
    for shape in SHAPES:
        for radius in RADII:
            left, top, right, bottom = _extents(shape, radius)
            wide, high = right - left - (x1 - x0), bottom - top - (y1 - y0)
            # A cut side hides part of the shape, which may then be larger than what shows, never smaller.
            if not (-2 <= wide <= (CANVAS if cut_left or cut_right else 3)):
                continue
            if not (-2 <= high <= (CANVAS if cut_top or cut_bottom else 3)):
                continue
            xs = _centres(x0 - left, x1 - right, cut_left, cut_right)
            ys = _centres(y0 - top, y1 - bottom, cut_top, cut_bottom)
            for x in xs:
                for y in ys:
                    yield shape, radius, x, y


def _centres(from_low: int, from_high: int, cut_low: bool, cut_high: bool) -> range:
    """Centres that put the low, the high or both edges (as far as they aren't cut) within a pixel of where they are."""
    if cut_low and not cut_high:
        return range(from_high - 1, from_high + 2)
    if cut_high and not cut_low:
        return range(from_low - 1, from_low + 2)
    return range(min(from_low, from_high), max(from_low, from_high) + 1)
