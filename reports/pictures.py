"""How pictures reach a page: as files beside it, or embedded in it. Their bytes are a stranger's, and looked at."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import struct
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from PIL import Image

from janus_eval.pictures import Picture, PictureError
from janus_eval.reports.folder import Folder
from janus_eval.reports.records import WholeRun
from janus_eval.reports.wording import line

LARGEST = 40_000_000  # pixels: a picture beyond this is named, not decoded
SIDE = 256  # larger pictures are embedded as thumbnails of this side
HEAD = 32
MISSING = "picture missing from the run folder"
# What a browser takes for a picture. A file that begins otherwise never reaches a report: under a picture's name it
# might be a page with scripts.
KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg", b"GIF8": "gif", b"RIFF": "webp"}
_PLAIN = re.compile(r"images/[A-Za-z0-9_~-][A-Za-z0-9._~-]*(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")


class Shown(NamedTuple):
    """A picture's address, relative to the report's folder or a data URI, and its size in pixels; or why there is
    none."""

    source: str
    absent: str = ""
    size: tuple[int, int] = (0, 0)


class Pictures(Protocol):
    def show(self, run: WholeRun, path: str) -> Shown:
        """The picture that a record of the run names."""
        ...


@dataclass
class Beside:
    """Pictures as files of the report: hard links where the file system allows, so that they cost no room.

    Their heads are read, not their pixels; a browser shows an empty frame for one that is damaged further on.
    """

    folder: Folder
    under: str
    """Where a run's pictures go."""
    _known: dict[str, Shown] = field(default_factory=dict)

    def show(self, run: WholeRun, path: str) -> Shown:
        if path not in self._known:
            self._known[path] = self._shown(run, path)
        return self._known[path]

    def _shown(self, run: WholeRun, path: str) -> Shown:
        file = run.picture(path)
        if file is None:
            return Shown("", MISSING)
        with io.FileIO(file) as opened:
            head = opened.read(HEAD)
        kind = next((kind for start, kind in KINDS.items() if head.startswith(start)), "")
        if not kind:
            return Shown("", f"unreadable: {'the image is empty' if not head else 'not a picture of a known kind'}")
        size = _png_size(head) if kind == "png" else _size(Path(file).read_bytes())
        if not all(size):
            return Shown("", "unreadable: the image has no pixels or a damaged head")
        if size[0] * size[1] > LARGEST:
            return Shown("", f"too large to show: {size[0] * size[1]:,} pixels")
        plain = _PLAIN.fullmatch(path) and path.endswith(f".{kind}") and len(path) < 200
        name = path if plain else f"images/{hashlib.sha256(path.encode('utf-8', 'replace')).hexdigest()[:24]}.{kind}"
        self.folder.link(file, f"{self.under}/{name}")
        return Shown(f"{self.under}/{name}", size=size)


@dataclass
class Embedded:
    """Pictures inside the page, small ones as they are, others as thumbnails; ``left`` bytes of them at most."""

    left: int = 24_000_000

    def show(self, run: WholeRun, path: str) -> Shown:
        file = run.picture(path)
        if file is None:
            return Shown("", MISSING)
        if self.left <= 0:
            return Shown("", "not embedded, to keep the page small")
        shown = embed(Path(file).read_bytes())
        self.left -= len(shown.source)
        return shown


def embed(data: bytes) -> Shown:
    """A data URI (a small PNG as it is, anything else as a thumbnail), or why not, and the picture's size."""
    width, height = _size(data)
    if width * height > LARGEST:
        return Shown("", f"too large to show: {width * height:,} pixels")
    try:
        image = Picture(data).load()
    except PictureError as error:
        return Shown("", line(f"unreadable: {error}", 80))
    size = image.size
    small = max(size) <= SIDE and data.startswith(b"\x89PNG") and len(data) <= 64_000
    kind = "png"
    if not small:
        image.thumbnail((SIDE, SIDE))
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=85)
        data, kind = buffer.getvalue(), "jpeg"
    return Shown(f"data:image/{kind};base64,{base64.b64encode(data).decode()}", size=size)


def _png_size(head: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", head[16:24]) if len(head) >= 24 and head[12:16] == b"IHDR" else (0, 0)
    return int(width), int(height)


def _size(data: bytes) -> tuple[int, int]:
    """What the header says, before anything is decoded; (0, 0) where there is no header."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            width, height = Image.open(io.BytesIO(data)).size
    except Image.DecompressionBombError:
        return LARGEST + 1, 1
    except Exception:  # noqa: BLE001 - Pillow's readers raise whatever they like; decoding will say what is wrong
        return 0, 0
    return width, height
