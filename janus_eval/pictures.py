"""Pictures: encoded images with an identity, decoded late and with suspicion."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

# A 7B model sees 384 px and the largest benchmark images have some 20 megapixels; a picture beyond this,
# where Pillow refuses too, is a decompression bomb or a mistake.
MAX_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 89_478_485)


MAGICS = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")
"""How files begin that are pictures or were to become some."""


class PictureError(ValueError):
    """The bytes are no usable picture; the message says what was found."""


@dataclass(frozen=True)
class Picture:
    """An encoded image (PNG, JPEG, WebP, ...). Equal bytes are one picture: models share work by ``digest``."""

    data: bytes

    @classmethod
    def from_file(cls, path: Path | str) -> Picture:
        return cls(Path(path).read_bytes())

    @classmethod
    def from_pil(cls, image: Image.Image) -> Picture:
        """Encode losslessly as PNG."""
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return cls(buffer.getvalue())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the bytes, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    def load(self) -> Image.Image:
        """Decode to an RGB image, upright by its EXIF orientation.

        The first frame of an animation, alpha laid over white, 16-bit greys scaled to 8 bits.
        Raises PictureError for anything that is not a picture, is empty, or is too large to be one.
        """
        if not self.data:
            raise PictureError("the image is empty (0 bytes)")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(self.data))
            width, height = image.size
            if width < 1 or height < 1:
                raise PictureError(f"the image is {width}x{height} pixels; at least 1x1 expected")
            if width * height > MAX_PIXELS:
                raise PictureError(f"the image is {width}x{height} pixels; at most {MAX_PIXELS:,} in all are read")
            image.seek(0)
            image.load()
        except PictureError:
            raise
        except Image.DecompressionBombError:
            raise PictureError(f"the image is too large; at most {MAX_PIXELS:,} pixels are read") from None
        except UnidentifiedImageError:
            start = f"{len(self.data):,} bytes starting with {self.data[:8]!r}"
            if self.data.startswith(MAGICS):
                raise PictureError(f"the image has no pixels or a damaged head ({start})") from None
            raise PictureError(f"not an image: {start}") from None
        except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, struct.error, EOFError, ...
            raise PictureError(f"the image cannot be decoded: {error}") from error
        return to_rgb(ImageOps.exif_transpose(image))


class PictureFile(Picture):
    """A picture that stays on the disk until it is wanted, whole or the part in ``box`` (left, top, right, bottom):
    thousands of them take no memory. ``data`` reads it anew each time; ``held()`` is the same in memory.

    For folders of unknown origin. Raises PictureError for what is no plain file (a pipe would be waited for, a device
    is endless), and OSError wherever it reads.
    """

    def __init__(self, path: Path, box: tuple[int, int, int, int] | None = None) -> None:
        if path.exists() and not path.is_file():
            raise PictureError("no plain file")
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "box", box)

    path: Path
    box: tuple[int, int, int, int] | None

    @property
    def data(self) -> bytes:
        whole = self.path.read_bytes()
        return whole if self.box is None else Picture.from_pil(Picture(whole).load().crop(self.box)).data

    def held(self) -> Picture:
        return Picture(self.data)

    def part(self, box: tuple[int, int, int, int]) -> PictureFile:
        """A part of the whole, as a PNG."""
        assert self.box is None
        return PictureFile(self.path, box)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Picture) and self.data == other.data

    def __hash__(self) -> int:
        return hash((self.data,))


def held(picture: Picture) -> Picture:
    """The picture in memory, wherever it was."""
    return picture.held() if isinstance(picture, PictureFile) else picture


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert any Pillow mode to RGB without losing what a viewer would see."""
    if image.mode == "RGB":
        return image
    if image.mode in {"I;16", "I;16B", "I;16L", "I", "F"}:
        # Pillow's own conversion clips at 255 instead of scaling, which turns a 16-bit picture white.
        values = np.asarray(image).astype(np.float64)
        top = 65535.0 if values.max(initial=0) > 255 else 255.0
        return Image.fromarray(np.clip(values * (255.0 / top), 0, 255).astype(np.uint8), "L").convert("RGB")
    if "A" in image.getbands() or "transparency" in image.info:
        rgba = image.convert("RGBA")
        ground = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(ground, rgba).convert("RGB")
    return image.convert("RGB")
