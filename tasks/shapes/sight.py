"""What the oracle makes of a picture: shapes and writing, found in the pixels alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from janus_eval.pictures import Picture
from janus_eval.tasks.shapes.detection import Detection, detect
from janus_eval.tasks.shapes.reading import Region, read
from janus_eval.tasks.shapes.scenes import CANVAS, GROUND, Pixels


@dataclass(frozen=True, eq=False)
class Sight:
    """Shapes and writing in the coordinates of the 64-pixel canvas.

    ``size`` is the picture's own (height, width); one canvas pixel is ``1 / scale`` of its pixels.
    """

    pixels: Pixels
    size: tuple[int, int]
    scale: float
    detections: tuple[Detection, ...]
    regions: tuple[Region, ...]


@lru_cache(maxsize=64)
def see(picture: Picture) -> Sight:
    """Look at a picture of any size; several instruments share the look. Raises PictureError for what is no picture."""
    image = picture.load()
    pixels, scale = to_canvas(image)
    return Sight(pixels, (image.height, image.width), scale, tuple(detect(pixels)), tuple(read(pixels)))


def to_canvas(image: Image.Image) -> tuple[Pixels, float]:
    """Fit an RGB image into the 64-pixel canvas, uint8 [64, 64, 3], and the factor it was scaled by.

    It lies at the top left, and what its shape leaves over is ground.
    """
    scale = CANVAS / max(image.size)
    if scale != 1.0:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        # Averaging keeps edges as the renderer makes them; other filters ring beside them.
        image = image.resize(size, Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    canvas = np.empty((CANVAS, CANVAS, 3), dtype=np.uint8)
    canvas[:] = GROUND
    canvas[: image.height, : image.width] = np.asarray(image)
    return canvas, scale
