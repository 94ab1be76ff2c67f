"""Scenes that are hard on the detector, for tests and measurements."""

from __future__ import annotations

import random
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from janus_eval.tasks.shapes.scenes import CANVAS, COLOURS, SHAPES, Pixels, Scene, Thing, coverage

LARGEST = {1: 18, 2: 14, 3: 11, 4: 9}
MARGIN = 32
SHEET = CANVAS + 2 * MARGIN


def crowded_scene(rng: random.Random) -> Scene:
    """One to four things of any radius from 5 to 18, anywhere, up to half of the radius outside the picture.

    The second one stands 1 to 3 pixels from the first, others at least one apart; half of the scenes have one colour.
    """
    total = rng.randint(1, 4)
    colour = rng.choice(COLOURS) if rng.random() < 0.5 else None
    things: list[Thing] = []
    taken = np.zeros((SHEET, SHEET), dtype=bool)
    for _ in range(120):
        radius = rng.randint(5, LARGEST[total])
        margin = radius - round(0.5 * radius) if rng.random() < 0.3 else radius
        x, y = rng.randint(margin, CANVAS - margin), rng.randint(margin, CANVAS - margin)
        thing = Thing(rng.choice(SHAPES), colour or rng.choice(COLOURS), x, y, radius)
        own = footprint(thing)
        if things:
            gap = int(ndimage.distance_transform_cdt(~taken, "chessboard")[own].min()) - 1
            if gap < 1 or (len(things) == 1 and gap > 3):
                continue
        taken |= own
        things.append(thing)
        if len(things) == total:
            break
    return Scene(tuple(things))


def footprint(thing: Thing) -> NDArray[np.bool_]:
    """Pixels that a thing covers by three tenths or more, on a sheet with a margin for what is clipped."""
    sheet = np.zeros((SHEET, SHEET), dtype=bool)
    left, top = MARGIN + thing.x - thing.radius, MARGIN + thing.y - thing.radius
    cover = coverage(thing.shape, thing.radius)
    sheet[top : top + cover.shape[0], left : left + cover.shape[1]] = cover > 0.3
    return sheet


def degrade(pixels: Pixels, sigma: float, noise: float, seed: int = 0) -> Pixels:
    """Blur and noise, as a picture has them that went through a lossy tokenizer."""
    blurred = ndimage.gaussian_filter(pixels.astype(float), (sigma, sigma, 0))
    noisy = blurred + np.random.default_rng(seed).normal(0, noise, pixels.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def crowded() -> Callable[[random.Random], Scene]:
    return crowded_scene


@pytest.fixture(scope="session")
def degraded() -> Callable[[Pixels, float, float], Pixels]:
    return degrade
