"""A text reader: PP-OCRv6 (small) through rapidocr and onnxruntime, for Latin letters and Chinese among others.

Its three networks (where text is, whether it is upside down, what it says) lie inside rapidocr's wheel, and they are
named by path and checksum here: without these, rapidocr would fetch what it lacks. All else is rapidocr's default but
the threshold on a line's score, which belongs to the judge: every line that was found is recorded with its score.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import random
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from janus_eval.errors import AbsentError, UserError
from janus_eval.fingerprint import digest
from janus_eval.pictures import Picture, PictureError
from janus_eval.plain import one_line
from janus_eval.tasks.instruments.files import checked
from janus_eval.tasks.textimages.render import render
from janus_eval.types import JSON, Failure, Look, Observation

MODELS = {
    "Det": ("PP-OCRv6_det_small.onnx", "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"),
    "Cls": (
        "ch_ppocr_mobile_v2.0_cls_mobile.onnx",
        "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c",
    ),
    "Rec": ("PP-OCRv6_rec_small.onnx", "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884"),
}
"""rapidocr's names for its steps -> file and SHA-256, those of its 3.10.0."""
OPTIONS: dict[str, JSON] = {
    "Global.text_score": 0.0,  # 0.5 by default, which would lose what a lower threshold could judge
    "EngineConfig.onnxruntime.use_cuda": False,
}
MOST_THREADS = 4
"""Recognition runs line by line on small matrices: more cores wait for each other. Their number moves no score."""
PACKAGES = ("rapidocr", "onnxruntime", "opencv-python-headless")
CURE = "pip install 'janus-eval[ocr]'"
VERSION = "1"

_SHOWN = {"garden window": 32, "学校音乐": 24}
"""What the self-test draws, with font sizes."""


class RapidReader:
    """Lines of text with their boxes, upright rectangles around them in pixels, and scores, 0 to 1."""

    kind = "text_reader"

    @property
    def version(self) -> str:
        """Versions of what computes, the networks, and our settings; known without loading any of them."""
        packages = " ".join(f"{name} {_installed(name) or 'missing'}" for name in PACKAGES)
        return f"{VERSION} {packages} settings {digest([MODELS, OPTIONS])}"

    def prepare(self) -> None:
        """Raises AbsentError where the extra is missing, UserError where rapidocr brings other networks."""
        _ = self._engine

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        """Read a batch, in order, picture by picture."""
        return [self._read(look.image) for look in looks]

    def self_test(self) -> str:
        """Two lines drawn here must be read to the letter, with their boxes where the ink is."""
        for text, size in _SHOWN.items():
            picture = render(text, size=size, rng=random.Random(0))
            found = self._read(picture)
            regions: Any = found.data["regions"] if isinstance(found, Observation) else []
            if [region["text"] for region in regions] != [text]:
                raise AssertionError(f"{text!r} was read as {found}")
            ink = picture.load().convert("L").point(lambda grey: 255 - grey).getbbox()
            assert ink is not None
            # The detector grows its boxes by a margin, and rounds them at the size at which it looks.
            off = max(abs(a - b) for a, b in zip(ink, regions[0]["box"], strict=True))
            if off > size / 2:
                raise AssertionError(f"{text!r} stands at {ink} and was seen at {regions[0]['box']}")
        return f"{' and '.join(_SHOWN)} read to the letter"

    @cached_property
    def _engine(self) -> Any:  # rapidocr has no types
        missing = [name for name in PACKAGES[:2] if not _installed(name)]
        if missing:
            raise AbsentError(f"the text reader needs {' and '.join(missing)}: {CURE}")
        settings = {**OPTIONS, **_models()}
        threads = {f"{kind}_op_num_threads": count for kind, count in (("intra", _threads()), ("inter", 1))}
        settings |= {f"EngineConfig.onnxruntime.{name}": count for name, count in threads.items()}
        try:
            from rapidocr import RapidOCR
        except ImportError as error:  # what it depends on, as a build of OpenCV that wants a display's libraries
            raise UserError(f"rapidocr is installed and cannot be imported ({error}): {CURE}") from error
        return RapidOCR(params={"Global.log_level": "critical", **settings})

    def _read(self, picture: Picture | None) -> Observation | Failure:
        if picture is None:
            return Failure("there is no picture to read")
        try:
            image = picture.load()
        except PictureError as error:
            return Failure(f"the picture cannot be read: {error}")
        engine = self._engine  # whose absence is no fault of the picture
        try:
            found = engine(_as_bgr(image))
        except Exception as error:  # noqa: BLE001 - OpenCV, onnxruntime and shapely raise what they like
            size = f"{image.width} x {image.height} pixels"
            return Failure(f"the reader failed on {size}: {one_line(error) or type(error).__name__}")
        if found.txts is None:  # nothing was found
            return Observation({"regions": []})
        regions: list[JSON] = [
            {"text": str(text), "box": _around(corners), "score": round(float(score), 6)}
            for text, corners, score in zip(found.txts, found.boxes, found.scores, strict=True)
        ]
        return Observation({"regions": regions})


def _models() -> dict[str, JSON]:
    """rapidocr's options that name the networks' files. Raises UserError where one is missing or another."""
    spec = importlib.util.find_spec("rapidocr")
    assert spec is not None and spec.origin, "rapidocr is installed"
    found: dict[str, JSON] = {}
    for step, (name, sha256) in MODELS.items():
        path = Path(spec.origin).parent / "models" / name
        if not path.is_file() or checked(path) != sha256:
            said = "other" if path.is_file() else "no"
            raise UserError(
                f"rapidocr {_installed('rapidocr')} has {said} {name} inside: the text reader is that of rapidocr "
                "3.10.0: pip install rapidocr==3.10.0"
            )
        found[f"{step}.model_path"] = str(path)
    return found


def _installed(package: str) -> str:
    """Its version; empty if it isn't there."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _threads() -> int:
    return min(MOST_THREADS, os.cpu_count() or 1)


def _as_bgr(image: Image.Image) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Pixels [h, w, 3] in OpenCV's order of colours, which rapidocr takes an array to have."""
    return np.ascontiguousarray(np.asarray(image)[:, :, ::-1])


def _around(corners: Any) -> list[JSON]:
    """Four corners [4, 2], in any turn, as [x0, y0, x1, y1]."""
    points = np.asarray(corners, dtype=float)
    return [round(float(edge), 2) for edge in (*points.min(axis=0), *points.max(axis=0))]
