"""lmms-eval's docs as plain data, and what its tasks show a model as pictures.

A doc is stored with its sample, so that answers can be judged again without the data set. What JSON lacks stands in it
as an object with one key: ``{"$bytes": base64}``, ``{"$tuple": [...]}``, ``{"$set": [...]}``, ``{"$float": "nan"}``,
``{"$time": ISO}``, ``{"$table": [[key, value], ...]}`` where keys are no texts, ``{"$image": k}`` for the k-th picture
of the sample.
"""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from janus_eval.pictures import Picture, PictureError
from janus_eval.plain import one_line
from janus_eval.types import JSON

PLAIN_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "I", "I;16")
"""Pillow's modes that a PNG has."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")


class UnseenError(ValueError):
    """What is to be shown is no picture; the message says what it is."""


def packed(value: Any, keep: Callable[[Image.Image], int] | None = None) -> JSON:
    """Any value of a doc or of a metric as JSON. ``keep`` takes an image and says its number.

    Raises UnseenError for an image where none is kept, and TypeError for what no reader could give back.
    """
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(float(value))}
    value = value.tolist() if isinstance(value, np.generic | np.ndarray) else value
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        plain = all(isinstance(key, str) and not key.startswith("$") for key in value)
        table = {key: packed(one, keep) for key, one in value.items()}
        return table if plain else {"$table": [[packed(key, keep), one] for key, one in table.items()]}
    if isinstance(value, list | tuple | set | frozenset):
        # The order of a set differs from one process to the next.
        members = sorted(value, key=repr) if isinstance(value, set | frozenset) else value
        inner = [packed(one, keep) for one in members]
        return inner if isinstance(value, list) else {"$tuple" if isinstance(value, tuple) else "$set": inner}
    if isinstance(value, bytes | datetime.datetime):
        text = base64.b64encode(value).decode() if isinstance(value, bytes) else value.isoformat()
        return {"$bytes" if isinstance(value, bytes) else "$time": text}
    if isinstance(value, Image.Image) and keep is not None:
        return {"$image": keep(value)}
    raise (UnseenError if isinstance(value, Image.Image) else TypeError)(f"a {type(value).__name__}")


def unpacked(value: Any, pictures: Sequence[Picture] = ()) -> Any:
    """What ``packed`` was given."""
    if isinstance(value, list):
        return [unpacked(one, pictures) for one in value]
    if not isinstance(value, Mapping):
        return value
    ways: dict[str, Callable[[Any], Any]] = {
        "$float": float,
        "$bytes": base64.b64decode,
        "$tuple": lambda parts: tuple(unpacked(part, pictures) for part in parts),
        "$set": lambda parts: {unpacked(part, pictures) for part in parts},
        "$table": lambda rows: {unpacked(key, pictures): unpacked(one, pictures) for key, one in rows},
        "$time": datetime.datetime.fromisoformat,
        "$image": lambda number: pictures[number].load(),
    }
    (key, *others) = value or ("",)
    if key in ways and not others:
        return ways[key](value[key])
    return {key: unpacked(one, pictures) for key, one in value.items()}


class Album:
    """Pictures of what docs show, each once. The bytes of a data set are kept where they decode to the same pixels:
    a JPEG is a tenth of the PNG that its pixels would be."""

    def __init__(self) -> None:
        self._made: dict[tuple[object, ...], Picture] = {}

    def pictures(self, visuals: Any, sources: Sequence[bytes]) -> list[Picture]:
        """All pictures in what ``doc_to_visual`` gave, in order. Raises UnseenError for what is no picture."""
        return [self._picture(visual, sources) for visual in flat(visuals)]

    def _picture(self, visual: Any, sources: Sequence[bytes]) -> Picture:
        if isinstance(visual, Image.Image):
            return self.of_image(visual, sources)
        if isinstance(visual, bytes | bytearray):
            return _sound(Picture(bytes(visual)), "bytes")
        if isinstance(visual, np.ndarray) and visual.dtype == np.uint8 and visual.ndim in {2, 3}:
            return self.of_image(Image.fromarray(visual), sources)
        if isinstance(visual, str | Path):
            return _from_path(str(visual))
        if isinstance(visual, Mapping):
            return self._of_table(visual, sources)
        raise UnseenError(f"a {type(visual).__name__}, which is no picture")

    def _of_table(self, table: Mapping[Any, Any], sources: Sequence[bytes]) -> Picture:
        kind = table.get("type")
        if "sampling_rate" in table or kind in {"audio", "video"}:
            raise UnseenError(f"{'a video' if kind == 'video' else 'audio'}, which no model here takes")
        for key in ("bytes", "image", "url", "path"):
            if table.get(key) is not None:
                return self._picture(table[key], sources)
        raise UnseenError(f"a table of {', '.join(map(str, table)) or 'nothing'}, which holds no picture")

    def of_image(self, image: Image.Image, sources: Sequence[bytes] = ()) -> Picture:
        plain = image if image.mode in PLAIN_MODES else image.convert("RGB")
        pixels = plain.tobytes()
        palette = bytes(plain.palette.tobytes()) if plain.palette is not None else b""
        key = (plain.mode, plain.size, hashlib.blake2b(pixels + palette, digest_size=16).digest())
        if key not in self._made:
            same = (Picture(source) for source in sources if plain.mode == "RGB" and _decodes_to(source, plain, pixels))
            found = next(same, None)
            self._made[key] = Picture.from_pil(plain) if found is None else found
        return self._made[key]


def flat(visuals: Any) -> Iterator[Any]:
    """What lists of lists hold, without the gaps."""
    if isinstance(visuals, list | tuple):
        for one in visuals:
            yield from flat(one)
    elif visuals is not None:
        yield visuals


def _decodes_to(source: bytes, image: Image.Image, pixels: bytes) -> bool:
    with contextlib.suppress(PictureError):
        found = Picture(source).load()
        return found.size == image.size and found.tobytes() == pixels
    return False


def _from_path(text: str) -> Picture:
    if text.startswith(("http://", "https://")):
        raise UnseenError(f"the address {one_line(text, 80)}; only what is on this machine is shown")
    path = Path(text)
    if path.suffix.lower() not in SUFFIXES:
        raise UnseenError(f"the file {one_line(path.name, 80)}, which is no picture")
    try:
        return Picture.from_file(path)
    except OSError as error:
        raise UnseenError(f"the file {one_line(text, 120)}: {error.strerror}") from error


def _sound(picture: Picture, what: str) -> Picture:
    try:
        picture.load()
    except PictureError as error:
        raise UnseenError(f"{what} that are no picture ({error})") from error
    return picture


def stored_bytes(value: Any) -> Iterator[bytes]:
    """The encoded images in a raw cell of a data set: ``{"bytes", "path"}``, or lists of such."""
    if isinstance(value, list):
        for one in value:
            yield from stored_bytes(one)
    elif isinstance(value, Mapping):
        data, path = value.get("bytes"), value.get("path")
        if isinstance(data, bytes):
            yield data
        elif isinstance(path, str) and Path(path).is_file():
            yield Path(path).read_bytes()
