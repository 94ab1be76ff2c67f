"""Files that are no pictures, or not such as anyone can look at."""

from __future__ import annotations

import struct
import zlib

import pytest
from PIL import Image

from janus_eval.pictures import Picture, PictureError


def png(width: int, height: int) -> bytes:
    """A PNG file's head and end, with no pixels between."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the image is empty"),
        (b"hello", r"not an image: 5 bytes starting with b'hello'"),
        (png(0, 0), "no pixels or a damaged head"),
        (b"\x89PNG\r\n", "no pixels or a damaged head"),
        (png(30_000, 30_000), "too large; at most 178,956,970 pixels are read"),
        (png(16, 16), "cannot be decoded"),
        (Picture.from_pil(Image.effect_noise((64, 64), 50)).data[:900], "cannot be decoded"),
    ],
    ids=["nothing", "text", "0x0", "head", "bomb", "no-pixels", "cut"],
)
def test_what_is_no_picture(data: bytes, message: str) -> None:
    with pytest.raises(PictureError, match=message):
        Picture(data).load()


def test_very_wide_pictures_are_read() -> None:
    picture = Picture.from_pil(Image.new("L", (20_000, 3), 7))
    assert picture.load().size == (20_000, 3)
