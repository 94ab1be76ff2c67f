"""What lmms-eval passes with a request, in every form, and what it says of decoding and loading."""

from __future__ import annotations

import base64
import io
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from loguru import logger
from PIL import Image

from janus_eval.errors import UserError
from janus_eval.models.adapters.lmms_loading import TRIED, own_device, size_of, spec_of, tell_version
from janus_eval.models.adapters.lmms_requests import Decoding, asked, decoding, pictures
from janus_eval.pictures import PictureError
from janus_eval.randomness import seed_of

RED = Image.new("RGB", (6, 4), (204, 0, 0))  # one of the palette's own


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "red.png"
    path.write_bytes(encoded(RED))
    return path


def test_a_picture_in_every_form_is_the_same(file: Path) -> None:
    png = encoded(RED)
    forms: list[Any] = [
        RED,
        RED.convert("P"),
        RED.convert("RGBA"),
        png,
        bytearray(png),
        str(file),
        file,
        f"file://{file}",
        f"data:image/png;base64,{base64.b64encode(png).decode()}",
        {"bytes": png, "path": None},
        {"bytes": None, "path": str(file)},
        {"type": "image", "url": RED},
        np.asarray(RED),
        [[RED]],
    ]
    for form in forms:
        [picture] = pictures(form, "task t")
        assert np.array_equal(np.asarray(picture.load()), np.asarray(RED)), form
    assert pictures(None, "task t") == pictures([], "task t") == ()
    assert len(pictures([RED, (RED, str(file))], "task t")) == 3
    # PNG knows neither CMYK nor floats.
    [cmyk] = pictures(RED.convert("CMYK"), "task t")
    assert np.abs(np.asarray(cmyk.load()).astype(int) - np.asarray(RED)).max() <= 1
    assert pictures(Image.new("F", (2, 2), 255.0), "task t")[0].load().getpixel((0, 0)) == (255, 255, 255)


def test_a_picture_that_breaks_when_it_is_decoded_is_one_request_s_affair() -> None:
    noise = encoded(Image.effect_noise((64, 64), 50))
    with pytest.raises(PictureError, match="cannot be decoded"):
        pictures(Image.open(io.BytesIO(noise[: len(noise) // 2])), "task t")
    with pytest.raises(PictureError, match="null byte"):
        pictures("a\0.png", "task t")


def test_a_picture_is_turned_as_its_file_says() -> None:
    wide = RED.copy()
    wide.getexif()[0x0112] = 6  # turned by a quarter
    [picture] = pictures(wide, "task t")
    assert picture.load().size == (4, 6)


@pytest.mark.parametrize(
    ("visual", "said"),
    [
        ("clip.mp4", "'clip.mp4'"),
        ({"type": "video", "url": "clip.mp4"}, "video"),
        ({"array": [0.0], "sampling_rate": 16000}, "dict"),
        ("https://example.org/a.png", "from memory or from files"),
        (3, "int"),
    ],
)
def test_what_is_no_picture_is_refused(visual: Any, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        pictures(visual, "task t")
    assert str(caught.value).startswith("task t passes ")


def test_a_picture_that_cannot_be_read_is_its_requests_failure(tmp_path: Path) -> None:
    for visual in (str(tmp_path / "absent.png"), "data:image/png;base64,§"):
        with pytest.raises(PictureError):
            pictures(visual, "task t")


@pytest.mark.parametrize(
    ("kwargs", "expected"),
    [
        ({}, Decoding()),
        ({"until": ["\n\n"], "do_sample": False}, Decoding(("\n\n",), 1024, 0.0)),
        ({"until": None, "max_new_tokens": "16"}, Decoding((), 16)),
        ({"until": "###", "max_gen_toks": 5}, Decoding(("###",), 5)),
        ({"temperature": 0, "top_p": 1.0, "num_beams": 1, "do_sample": False}, Decoding((), 1024, 0.0)),
        ({"temperature": 0.7}, Decoding((), 1024, 0.7)),
        ({"do_sample": True}, Decoding((), 1024, 1.0)),
        ({"do_sample": True, "temperature": 0}, Decoding((), 1024, 0.0)),
        ({"do_sample": False, "temperature": 0.7, "top_p": 0.9}, Decoding((), 1024, 0.0)),
        ({"temperature": 0.7, "top_p": 0.9}, Decoding((), 1024, 0.7, ("top_p=0.9",))),
        ({"num_beams": 5, "do_sample": False}, Decoding((), 1024, 0.0, ("num_beams=5",))),
    ],
)
def test_decoding(kwargs: dict[str, Any], expected: Decoding) -> None:
    assert decoding(kwargs, "task t") == expected


@pytest.mark.parametrize(
    "kwargs", [{"max_new_tokens": 0}, {"max_new_tokens": "many"}, {"max_new_tokens": 1.5}, {"temperature": -1}]
)
def test_decoding_that_is_none(kwargs: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=r"^task t: "):
        decoding(kwargs, "task t")


def test_an_answer_ends_before_its_first_stop_string() -> None:
    way = Decoding(("\n\n", "User:"))
    assert way.cut("red User: and\n\nso on") == "red"
    assert way.cut("red, and so on") == "red, and so on"


def instance(*arguments: Any) -> Any:
    return SimpleNamespace(args=arguments, task_name="t", doc_id=1)


def test_instances() -> None:
    tasks = {"t": {"test": [{}, {"id": "b", "task": "geneval", "prompt": "p", "answer": "red"}]}}
    seen: Counter[tuple[str, int]] = Counter()

    def read(*arguments: Any) -> Any:
        return asked(instance(*arguments), tasks, seen)

    first, second = (read("a <image> q", {"until": []}, lambda doc: [RED], 1, "t", "test") for _ in range(2))
    assert (first.key.index, second.key.index) == (0, 1)
    assert first.seed(7) == seed_of(7, "t", "1", 0) != second.seed(7)
    assert (first.text(1), first.text(0)) == ("a  q", "a <image> q")
    # A drawing task of ours says what its requests are in a run of ours.
    drawing = read("p", {"draw": True}, lambda doc: [], 1, "t", "test")
    assert drawing.seed(7) == seed_of(7, "geneval", "b", 2)
    chosen = read("q", " red", lambda doc: None, 1, "t", "test")
    assert (chosen.target, chosen.kwargs, chosen.visual) == (" red", {}, None)
    assert read("q", lambda doc: doc["answer"], lambda doc: None, 1, "t", "test").target == "red"
    assert read("", "red").target == "red"
    rounds = read("q", {"until": []}, lambda doc: None, len, 1, "t", "test")
    assert rounds.next_round is len


def test_a_broken_document_is_one_request_s_affair() -> None:
    class Docs:
        def __getitem__(self, place: int) -> Any:
            raise OSError("Truncated File Read")

    arguments = ("q", {"until": []}, lambda doc: doc["image"], 7, "t", "test")
    found = asked(SimpleNamespace(args=arguments, task_name="t", doc_id=7), {"t": {"test": Docs()}}, Counter())
    with pytest.raises(PictureError, match="document 7: OSError: Truncated File Read"):
        pictures(found.visual, found.where)


def test_sizes_devices_and_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (size_of("8", None), size_of(1, 4), size_of("auto", None), size_of("auto:4", 12)) == (8, 1, 64, 12)
    for size in ("many", -1):
        with pytest.raises(UserError, match="a number from 1 or auto"):
            size_of(size, None)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert (own_device("cuda"), own_device("cpu"), own_device("cuda:1")) == ("cuda:3", "cpu", "cuda:1")
    assert spec_of("janus-pro", "nano-janus-pro", {}).name == "nano-janus-pro"
    assert spec_of("janus-pro", str(tmp_path), {"guidance": 2}).checkpoint == str(tmp_path)
    assert spec_of("janus-pro", "someone/Janus", {}).checkpoint == "someone/Janus"
    assert spec_of("janus-pro", None, {}).checkpoint is None
    for other in ("nano-janus-flow", "oracle"):
        with pytest.raises(UserError, match="another architecture than janus-pro"):
            spec_of("janus-pro", other, {})


def test_another_version_is_one_line() -> None:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")
    for version in (TRIED, "0.8.1"):
        tell_version(version)
    logger.remove(sink)
    assert len(lines) == 1 and f"lmms-eval {TRIED}, this is 0.8.1" in lines[0]


def test_the_entry_point_is_cheap_and_survives_another_lmms_eval() -> None:
    code = (
        "import sys; sys.modules['lmms_eval'] = None\n"
        "from janus_eval.models.adapters.lmms_manifests import manifests\n"
        "assert manifests() == []; assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
