"""What each patch of a picture shows, for teaching an encoder to see: labels that follow from the scene."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from janus_eval.tasks.shapes import curriculum, font, scenes
from janus_eval.tasks.shapes.scenes import CANVAS, COLOURS, SHAPES, Pixels, Scene, Thing, Writing, render

Labels = dict[str, NDArray[np.int64]]
IGNORED = -100
# Share of a patch that a thing or a glyph's cell has to cover to be named.
COVERED = 0.15
# Distances to a thing's centre in steps of a quarter of the lattice.
STEP = 2
REACH = 9
TEXTS = 0.35
CLASSES: dict[str, int] = {
    "colour": len(COLOURS) + 1,
    "shape": len(SHAPES) + 1,
    "right": 2 * REACH + 1,
    "down": 2 * REACH + 1,
    "radius": 19,
    "first": len(font.CHARACTERS) + 1,
    "last": len(font.CHARACTERS) + 1,
}
"""Classes of each label."""
NOTHING = frozenset({"colour", "shape", "first", "last"})
"""Labels whose class 0 is for patches that show nothing of the kind; the others don't apply there."""


@dataclass(frozen=True, slots=True)
class PatchExample:
    """A picture, uint8 [64, 64, 3], and labels ``[G, G]`` by name, IGNORED where they don't apply."""

    image: Pixels
    labels: Labels


def patch_example(rng: random.Random, grid: int) -> PatchExample:
    """A picture of the curriculum, nothing held out, with the labels of its ``grid`` x ``grid`` patches."""
    scene = curriculum.text_scene(rng) if rng.random() < TEXTS else curriculum.random_scene(rng)
    return PatchExample(render(scene), label(scene, grid))


def label(scene: Scene, grid: int) -> Labels:
    """The thing that covers most of each patch: colour, shape, way to its centre, radius; the first and last glyph."""
    labels = {name: np.full((grid, grid), 0 if name in NOTHING else IGNORED) for name in CLASSES}
    side = CANVAS // grid
    most = np.full((grid, grid), COVERED)
    for thing in scene.things:
        share = _shares(thing, grid)
        for row, column in np.argwhere(share > most):
            most[row, column] = share[row, column]
            right = round((thing.x - (column + 0.5) * side) / STEP)
            down = round((thing.y - (row + 0.5) * side) / STEP)
            labels["colour"][row, column] = COLOURS.index(thing.colour) + 1
            labels["shape"][row, column] = SHAPES.index(thing.shape) + 1
            labels["right"][row, column] = np.clip(right, -REACH, REACH) + REACH
            labels["down"][row, column] = np.clip(down, -REACH, REACH) + REACH
            labels["radius"][row, column] = min(thing.radius, 18)
    for writing in scene.writings:
        for place, character in enumerate(writing.text):
            code = font.CHARACTERS.index(character) + 1
            for row, column in np.argwhere(_overlap(writing, place, grid) > COVERED):
                labels["last"][row, column] = code
                if labels["first"][row, column] == 0:
                    labels["first"][row, column] = code
    return labels


def _shares(thing: Thing, grid: int) -> NDArray[np.float32]:
    """Share of each patch ``[G, G]`` that a thing covers."""
    cover = scenes.coverage(thing.shape, thing.radius)
    half = cover.shape[0] // 2
    canvas = np.zeros((CANVAS, CANVAS, 1), dtype=np.float32)
    scenes.lay(canvas, cover, (1,), thing.x - half, thing.y - half)
    side = CANVAS // grid
    shares: NDArray[np.float32] = canvas.reshape(grid, side, grid, side).mean(axis=(1, 3))
    return shares


def _overlap(writing: Writing, place: int, grid: int) -> NDArray[np.float64]:
    """What a glyph's cell has in common with each patch ``[G, G]``, as a share of the smaller of the two."""
    side = CANVAS / grid
    width = font.width(writing.height)
    edges = np.arange(grid) * side

    def common(start: int, length: int) -> NDArray[np.float64]:
        ends = np.minimum(edges + side, start + length)
        shared: NDArray[np.float64] = np.maximum(ends - np.maximum(edges, start), 0.0)
        return shared

    area = common(writing.y, writing.height)[:, None] * common(writing.x + place * writing.advance, width)[None]
    return np.asarray(area / min(side * side, width * writing.height))
