"""Pictures that try an image tokenizer: drawn faces of several sizes, gratings of several periods, textures, gradients.

No photograph is bundled. What of one is hard on a tokenizer is drawn here from parameters: fine detail where people
look first (faces), contrast at one spatial frequency (gratings), the 1/f spectrum of natural images (textures), and
slow slopes, where a small code book shows as bands (gradients). All is seeded, and the same everywhere but for the last
bits of floating-point functions, which move a grey level only where a value lies within 1e-10 of the middle of two.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps

from janus_eval.errors import UserError
from janus_eval.pictures import Picture, PictureError
from janus_eval.randomness import seed_of
from janus_eval.types import JSON, Sample

FACES = (16, 24, 32, 48, 64, 96)
"""Heights of the heads in pixels; a tokenizer's patch has 16."""
PERIODS = (2, 3, 4, 6, 8, 12, 16, 24, 32)
"""Of the gratings, in pixels; 2 is the finest that pixels can show."""
CANVAS = 384
CELLS = 3
"""Faces stand in a grid of so many rows and columns: nine in a picture."""
FINE = 4
"""Faces are drawn so many times as large and averaged down."""
SKINS = ((255, 219, 190), (240, 200, 160), (210, 160, 120), (160, 110, 75), (110, 72, 50), (75, 50, 38))
HAIRS = ((30, 24, 20), (70, 45, 25), (120, 80, 40), (200, 160, 90), (150, 60, 30), (190, 190, 190))
EYES = ((70, 45, 25), (60, 110, 160), (70, 120, 70), (110, 110, 110))
PHOTOS = (".png", ".jpg", ".jpeg", ".webp", ".bmp")

Floats: TypeAlias = NDArray[np.float64]
Colour: TypeAlias = tuple[int, int, int]


def drawn(ask: Mapping[str, JSON]) -> list[Sample]:
    """``ask``: ``pictures_per_setting`` of each size of face, each period, textures and gradients; ``data_seed``.

    ``metadata``: ``kind`` and ``scale``, the size or period in pixels (None for textures and gradients). ``target``: of
    faces the ``boxes`` [x0, y0, x1, y1] within which quality counts, the rest being empty ground.
    """
    settings = [("faces", size) for size in FACES] + [("gratings", period) for period in PERIODS]
    rows = []
    for kind, scale in [*settings, ("textures", None), ("gradients", None)]:
        for number in range(cast(int, ask["pictures_per_setting"])):
            name = f"{kind}-{scale:02d}px-{number:02d}" if scale else f"{kind}-{number:02d}"
            rng = random.Random(seed_of(cast(int, ask["data_seed"]), "tokenizer pictures", name, 0))
            boxes: list[list[int]] = []
            if kind == "faces":
                assert scale is not None
                image, boxes = faces(scale, rng)
            elif kind == "gratings":
                assert scale is not None
                image = grating(scale, rng)
            else:
                image = texture(rng) if kind == "textures" else gradient(rng)
            category = f"{kind} {scale}" if scale else kind
            rows.append(_sample(name, kind, scale, Picture.from_pil(image), category, boxes))
    return rows


def photos(folder: Path) -> list[Sample]:
    """The photographs in a folder and those below it, by name: the middle square of each at ``CANVAS`` pixels a side.

    What can't be opened is kept as it is: the model is going to fail on it, and that is counted. Raises UserError where
    there are none.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix.lower() in PHOTOS)
    if not files:
        raise UserError(f"{folder} holds no photograph ({', '.join(PHOTOS)})")
    rows = []
    for file in files:
        try:
            picture = Picture.from_file(file)
        except OSError as error:
            raise UserError(f"{file}: {error.strerror or error}") from error
        try:
            image = ImageOps.fit(picture.load(), (CANVAS, CANVAS), Image.Resampling.LANCZOS)
            picture = Picture.from_pil(image)
        except PictureError:
            pass
        rows.append(_sample(file.relative_to(folder).as_posix(), "photos", None, picture, "photos", []))
    return rows


def _sample(
    name: str, kind: str, scale: int | None, picture: Picture, category: str, boxes: Sequence[Sequence[int]]
) -> Sample:
    target: dict[str, JSON] = {"boxes": [list(box) for box in boxes]} if boxes else {}
    return Sample(name, {}, target, name, category, (picture,), {"kind": kind, "scale": scale})


def faces(size: int, rng: random.Random) -> tuple[Image.Image, list[list[int]]]:
    """Nine faces with heads ``size`` pixels high somewhere in the cells of a grid, and their boxes."""
    cell = CANVAS // CELLS
    ground = _colour(rng, 150, 230)
    image = Image.new("RGB", (CANVAS, CANVAS), ground)
    boxes = []
    for row in range(CELLS):
        for column in range(CELLS):
            x = column * cell + rng.randint(8, cell - size - 8)
            y = row * cell + rng.randint(8, cell - size - 8)
            image.paste(_face(size, rng, ground), (x, y))
            boxes.append([x, y, x + size, y + size])
    return image, boxes


def _face(size: int, rng: random.Random, ground: Colour) -> Image.Image:
    """A head from the front that fills a square: hair, eyes with iris and pupil, brows, nose, mouth."""
    side = size * FINE
    image = Image.new("RGB", (side, side), ground)
    draw = ImageDraw.Draw(image)
    skin, hair, iris = rng.choice(SKINS), rng.choice(HAIRS), rng.choice(EYES)
    red, green, blue = skin
    shade = 3 * red // 4, 3 * green // 4, 3 * blue // 4

    def ellipse(x: float, y: float, width: float, height: float, colour: Colour) -> None:
        """Centre and full width and height in heads."""
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        draw.ellipse([round(corner * side) for corner in corners], fill=colour)

    width = rng.uniform(0.62, 0.74)
    ellipse(0.5, 0.42, width + 0.14, 0.84, hair)
    ellipse(0.5, 0.54, width, 0.86, skin)
    apart, height = rng.uniform(0.24, 0.3), rng.uniform(0.44, 0.5)
    for eye in (0.5 - apart / 2, 0.5 + apart / 2):
        ellipse(eye, height, 0.15, 0.09, (250, 250, 250))
        ellipse(eye, height, 0.08, 0.085, iris)
        ellipse(eye, height, 0.035, 0.04, (10, 10, 10))
        ellipse(eye, height - 0.1, 0.17, 0.025, hair)
    ellipse(0.5, 0.62, 0.09, 0.07, shade)
    smile = rng.uniform(0.03, 0.1)
    ellipse(0.5, 0.78, rng.uniform(0.2, 0.3), smile + 0.03, (150, 45, 50))
    ellipse(0.5, 0.77, 0.16, smile / 2, (250, 250, 250))
    return image.reduce(FINE)


def grating(period: int, rng: random.Random) -> Image.Image:
    """Stripes of two colours, a sine of this period in any direction, fading into grey towards the edges (Gabor)."""
    angle, phase = rng.uniform(0, math.pi), rng.uniform(0.1, 3.0)
    across, down = _positions()
    wave = np.sin(2 * math.pi * (across * math.cos(angle) + down * math.sin(angle)) / period + phase)
    fade = np.exp(-((across - CANVAS / 2) ** 2 + (down - CANVAS / 2) ** 2) / (2 * (CANVAS / 4) ** 2))
    contrast = np.array([rng.uniform(40, 120) * rng.choice((-1, 1)) for _ in range(3)])
    return _image(128 + (wave * fade)[..., None] * contrast)


def texture(rng: random.Random) -> Image.Image:
    """Noise whose amplitude falls as one over the frequency, as that of natural images (Field 1987); the colours of a
    pixel go mostly together, as there."""
    # The legacy generator's stream is frozen for good, unlike that of numpy's newer ones (NEP 19).
    source = np.random.RandomState(rng.randrange(2**32))
    frequencies = np.hypot(np.fft.fftfreq(CANVAS)[:, None], np.fft.rfftfreq(CANVAS)[None])
    frequencies[0, 0] = np.inf  # no constant part
    layers = []
    for _ in range(4):
        spectrum = np.fft.rfft2(source.standard_normal((CANVAS, CANVAS))) / frequencies
        layer = np.fft.irfft2(spectrum, (CANVAS, CANVAS))
        layers.append(layer / layer.std())
    light, *tints = layers
    return _image(np.stack([128 + 45 * light + 15 * tint for tint in tints], axis=2))


def gradient(rng: random.Random) -> Image.Image:
    """A straight slope from one colour to another, in any direction."""
    angle = rng.uniform(0, 2 * math.pi)
    across, down = _positions()
    along = (across - CANVAS / 2) * math.cos(angle) + (down - CANVAS / 2) * math.sin(angle)
    share = (along / (CANVAS * math.sqrt(0.5)) + 1) / 2
    first, second = (np.array(_colour(rng, 20, 235)) for _ in range(2))
    return _image(first + share[..., None] * (second - first))


def _positions() -> tuple[Floats, Floats]:
    """Each pixel's place across and down, both ``[H, W]``."""
    down, across = np.mgrid[:CANVAS, :CANVAS].astype(np.float64)
    return across, down


def _image(values: Floats) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _colour(rng: random.Random, low: int, high: int) -> Colour:
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)
