"""The text reader on text that is drawn here: to the letter, offline, and one bad picture by itself."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import random
import socket
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from janus_eval.errors import AbsentError, UserError
from janus_eval.pictures import Picture
from janus_eval.specs import offered
from janus_eval.tasks.instruments import rapid_reader
from janus_eval.tasks.instruments.rapid_reader import RapidReader
from janus_eval.tasks.textimages.render import render
from janus_eval.types import Failure, Look, Observation

BLANK = Picture.from_pil(Image.new("RGB", (64, 48), "white"))


@pytest.fixture(scope="module")
def reader() -> Iterator[RapidReader]:
    """With no way to the network: what a reader lacked it could only fail to fetch."""

    def refuse(*_: Any) -> None:
        raise AssertionError("the reader reached for the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", refuse)
        found = RapidReader()
        found.prepare()
        yield found


def drawn(text: str, **knobs: Any) -> Look:
    return Look({}, image=render(text, **{"size": 32, "rng": random.Random(1), **knobs}))


def texts(seen: Observation | Failure) -> list[str]:
    assert isinstance(seen, Observation), seen
    regions: Any = seen.data["regions"]
    return [region["text"] for region in regions]


def test_text_is_read_to_the_letter(reader: RapidReader) -> None:
    looks = [
        drawn("garden bottle", size=12),
        drawn("学校音乐", size=16, font="serif"),
        drawn("orange", angle=90, ink=(255, 255, 255), paper=(20, 40, 90)),
        Look({}, image=BLANK),
    ]
    assert [texts(seen) for seen in reader.observe(looks)] == [["garden bottle"], ["学校音乐"], ["orange"], []]


def test_self_test_says_what_it_read_and_fails_for_a_reader_that_misreads(
    reader: RapidReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reader.self_test() == "garden window and 学校音乐 read to the letter"
    honest = reader._read

    def shifted(picture: Picture | None) -> Observation:
        seen: Any = honest(picture)
        moved = [{**region, "box": [edge + 30 for edge in region["box"]]} for region in seen.data["regions"]]
        return Observation({"regions": moved})

    monkeypatch.setattr(reader, "_read", shifted)
    with pytest.raises(AssertionError, match="stands at"):
        reader.self_test()
    monkeypatch.setattr(reader, "_read", lambda picture: Observation({"regions": []}))
    with pytest.raises(AssertionError, match="'garden window' was read as"):
        reader.self_test()


def test_a_bad_picture_fails_alone(reader: RapidReader) -> None:
    strip = Picture.from_pil(Image.new("RGB", (3000, 2)))
    looks = [Look({}, image=Picture(b"no picture")), drawn("orange"), Look({}), Look({}, image=strip)]
    junk, sound, none, thin = reader.observe(looks)
    assert isinstance(junk, Failure) and junk.reason.startswith("the picture cannot be read: not an image")
    assert none == Failure("there is no picture to read")
    assert thin == Failure("the reader failed on 3000 x 2 pixels: ResizeImgError")
    # Nothing of a picture's result comes from its neighbours.
    assert reader.observe([drawn("orange")]) == [sound] and texts(sound) == ["orange"]


def test_doubtful_lines_are_kept_with_their_scores(reader: RapidReader) -> None:
    """What to believe is the judge's to say, so rapidocr's own threshold is off."""
    assert reader._engine.text_score == 0.0
    doubtful = RapidReader()
    corners = [[4.0, 9.126], [8.0, 1.0], [12.0, 3.0], [8.0, 11.0]]
    found = SimpleNamespace(txts=("?",), boxes=np.array([corners]), scores=(0.0312345678,))
    doubtful.__dict__["_engine"] = lambda pixels: found
    (seen,) = doubtful.observe([Look({}, image=BLANK)])
    assert seen == Observation({"regions": [{"text": "?", "box": [4.0, 1.0, 12.0, 11.0], "score": 0.031235}]})


def test_it_sees_colours_as_they_are() -> None:
    """rapidocr takes an array to have OpenCV's order of colours."""
    passed = []
    reader = RapidReader()
    reader.__dict__["_engine"] = lambda pixels: passed.append(pixels) or SimpleNamespace(txts=None)
    assert reader.observe([Look({}, image=Picture.from_pil(Image.new("RGB", (3, 2), (250, 20, 5))))])
    assert passed[0].shape == (2, 3, 3) and passed[0][0, 0].tolist() == [5, 20, 250]


def test_the_version_names_all_that_can_move_a_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = RapidReader().version
    for package in rapid_reader.PACKAGES:
        assert f"{package} {importlib.metadata.version(package)}" in plain
    monkeypatch.setitem(rapid_reader.OPTIONS, "Global.text_score", 0.5)
    threshold = RapidReader().version
    monkeypatch.setitem(rapid_reader.MODELS, "Rec", ("other.onnx", "0" * 64))
    assert len({plain, threshold, RapidReader().version}) == 3


def test_without_the_extra_it_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    reader = RapidReader()
    assert "rapidocr missing" in reader.version
    with pytest.raises(AbsentError, match=r"pip install 'janus-eval\[ocr\]'"):
        reader.prepare()


def test_a_broken_installation_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = ModuleType("rapidocr")
    broken.__spec__ = importlib.util.find_spec("rapidocr")
    monkeypatch.setitem(sys.modules, "rapidocr", broken)
    with pytest.raises(UserError, match="rapidocr is installed and cannot be imported"):
        RapidReader().prepare()


def test_other_networks_inside_the_package_are_no_picture_s_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(rapid_reader.MODELS, "Det", (rapid_reader.MODELS["Det"][0], "0" * 64))
    with pytest.raises(UserError, match=r"has other PP-OCRv6_det_small.onnx inside: .* pip install rapidocr==3.10.0"):
        RapidReader().observe([drawn("orange")])
    monkeypatch.setitem(rapid_reader.MODELS, "Det", ("absent.onnx", "0" * 64))
    with pytest.raises(UserError, match=r"has no absent.onnx inside"):
        RapidReader().prepare()


def test_it_is_offered_by_name() -> None:
    instrument = offered("instruments", "rapidocr")
    assert instrument.kind == "text_reader"
