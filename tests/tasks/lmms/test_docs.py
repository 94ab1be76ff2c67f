"""Docs as plain data and back, and pictures in every form that lmms-eval's tasks give them."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from janus_eval.pictures import Picture
from janus_eval.tasks.lmms.docs import Album, UnseenError, packed, unpacked
from janus_eval.tasks.lmms.task import cut


def test_docs_come_back_as_they_were() -> None:
    doc = {
        "text": "a", "number": 1, "truth": True, "nothing": None, "half": np.float32(0.5), "many": np.arange(3),
        "pair": (1, ("a", None)), "bytes": b"\0\xff", "deep": [{"a": (1,)}], "one": {"$other": 1},
        "when": datetime.datetime(2026, 1, 2, 3, 4), "set": {"b", "a"}, "table": {1: "x", (2, None): {3}},
        "like ours": {"$float": "nan"},
    }  # fmt: skip
    kept = json.loads(json.dumps(packed(doc), allow_nan=False))
    assert unpacked(kept) == {**doc, "half": 0.5, "many": [0, 1, 2]}
    assert packed({"c", "a", "b"}) == {"$set": ["a", "b", "c"]}, "in one order, whatever the process"
    assert math.isnan(unpacked(json.loads(json.dumps(packed([math.nan]))))[0])


def test_what_can_not_be_kept_is_said() -> None:
    with pytest.raises(TypeError, match="a Thread"):
        import threading

        packed({"a": threading.Thread()})
    with pytest.raises(UnseenError, match="a Image"):
        packed(Image.new("RGB", (2, 2)))


def test_images_in_docs_are_kept_beside_them() -> None:
    album, kept = Album(), []

    def keep(image: Image.Image) -> int:
        kept.append(album.of_image(image))
        return len(kept) - 1

    doc = {"image": Image.new("RGB", (2, 3), (1, 2, 3)), "a": [Image.new("L", (1, 1), 7)]}
    back = unpacked(json.loads(json.dumps(packed(doc, keep))), kept)
    assert back["image"].size == (2, 3) and back["image"].getpixel((0, 0)) == (1, 2, 3)
    assert back["a"][0].getpixel((0, 0)) == (7, 7, 7)


FORMS: dict[str, Callable[[Image.Image, bytes, Path], Any]] = {
    "an image": lambda image, data, path: image,
    "a list": lambda image, data, path: [image],
    "lists with gaps": lambda image, data, path: [None, [image]],
    "bytes": lambda image, data, path: data,
    "a path": lambda image, data, path: str(path),
    "a table with bytes": lambda image, data, path: {"bytes": data, "path": None},
    "a table with a path": lambda image, data, path: {"bytes": None, "path": str(path)},
    "a part of a message": lambda image, data, path: {"type": "image", "url": image},
    "an array": lambda image, data, path: np.asarray(image),
}


@pytest.mark.parametrize("form", FORMS)
def test_pictures_in_every_form(hub_module: ModuleType, tmp_path: Path, form: str) -> None:
    data = hub_module.jpeg(hub_module.circle("red"))
    (tmp_path / "a.jpg").write_bytes(data)
    image = Picture(data).load()
    (found,) = Album().pictures(FORMS[form](image, data, tmp_path / "a.jpg"), [b"no picture", data])
    assert found.data == data, "the bytes as they were stored, for they decode to these pixels"


def test_changed_pixels_are_kept_as_they_are_shown(hub_module: ModuleType) -> None:
    data = hub_module.jpeg(hub_module.circle("red"))
    half = Picture(data).load().crop((0, 0, 24, 48))
    album = Album()
    (found,), (same,) = album.pictures(half, [data]), album.pictures(half.copy(), [data])
    assert found.data.startswith(b"\x89PNG") and found is same
    assert found.load().tobytes() == half.tobytes()
    palette = Image.new("P", (2, 2))
    palette.putpalette([9, 8, 7])
    other = palette.copy()
    other.putpalette([1, 2, 3])
    assert len({picture.digest for picture in album.pictures([palette, other], [])}) == 2
    assert album.pictures(Image.new("CMYK", (2, 2)), [])[0].load().getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("visual", "said"),
    [
        ("clip.mp4", "the file clip.mp4, which is no picture"),
        ("https://example.org/a.png", "the address https://example.org/a.png"),
        ("gone.png", "the file gone.png: No such file"),
        ({"array": [0.0], "sampling_rate": 16000}, "audio, which no model here takes"),
        ({"type": "video", "url": "a.mp4"}, "a video, which no model here takes"),
        ({"a": 1}, "a table of a, which holds no picture"),
        (b"no picture", "bytes that are no picture"),
        (object(), "a object, which is no picture"),
    ],
)
def test_what_is_no_picture(visual: Any, said: str) -> None:
    with pytest.raises(UnseenError, match=said):
        Album().pictures([visual], [])


def test_answers_end_at_the_first_stop() -> None:
    assert cut("a. b\n\nc", ["\n\n", "."]) == "a"
    assert cut("a. b", []) == cut("a. b", ["", "?"]) == "a. b"
