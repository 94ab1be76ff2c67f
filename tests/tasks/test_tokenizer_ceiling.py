"""Pictures through toy tokenizers: what is still read, found and like itself."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

import janus_eval
from janus_eval import datasets
from janus_eval.errors import UserError
from janus_eval.pictures import Picture
from janus_eval.specs import contenders
from janus_eval.tasks import tokenizer_pictures
from janus_eval.tasks.shapes.tokenizer import shapes_tokenizer
from janus_eval.tasks.tokenizer_ceiling import TokenizerCeiling, kept, measured
from janus_eval.tasks.tokenizer_ceiling_tasks import exact, photos, tokenizer_ceiling
from janus_eval.types import JSON, Failure, Response, Sample, Score, Scored

Change = Callable[[Image.Image], Image.Image]
JUDGE = exact.judge


class Tokenizer:
    """Passes pictures through a function of images."""

    weights = "toy tokenizer"

    def __init__(self, change: Change) -> None:
        self.change = change

    def reconstruct(self, images: Sequence[Picture]) -> list[Picture | Failure]:
        return [Picture.from_pil(self.change(image.load())) for image in images]


def blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(1.2))


def picture(size: int = 32, shade: int = 200) -> Picture:
    return Picture.from_pil(Image.new("RGB", (size, size), (shade, 10, 10)))


def a_sample(target: Mapping[str, JSON] | None = None, image: Picture | None = None, **metadata: JSON) -> Sample:
    return Sample("s", {}, target or {}, "s", "c", (image or picture(),), metadata)


def reader(*texts: str) -> dict[str, Mapping[str, JSON]]:
    regions: list[JSON] = [
        {"text": text, "box": [0, 20 * place, 90, 20 * place + 15], "score": 0.9} for place, text in enumerate(texts)
    ]
    return {"text_reader": {"regions": regions}}


def test_a_text_counts_when_it_is_read_to_the_letter() -> None:
    sample = a_sample({"text": "garden window"})
    back = Response(image=sample.images[0])
    whole = tokenizer_ceiling.score(sample, 0, back, reader("garden", "window"), JUDGE)
    assert whole.value == 1.0 and whole.parts["cer"] == 0 and whole.parts["ssim"] == pytest.approx(1)
    half = tokenizer_ceiling.score(sample, 0, back, reader("garden"), JUDGE)
    assert half.value == 0.0 and half.parts["cer"] == pytest.approx(7 / 13)
    assert tokenizer_ceiling.query("text_reader", sample, 0) == {}
    assert tokenizer_ceiling.query("text_reader", a_sample(), 0) is None, "nothing is to be read there"


def test_where_nothing_is_to_be_found_likeness_is_the_score() -> None:
    sample = a_sample(image=Picture.from_pil(tokenizer_pictures.grating(4, random.Random(0))))
    soft = Response(image=Picture.from_pil(blurred(sample.images[0].load())))
    score = tokenizer_ceiling.score(sample, 0, soft, {}, JUDGE)
    assert score.value == score.parts["ssim"]
    assert 0 < score.parts["ssim"] < 0.9 and 15 < score.parts["psnr"] < 40  # type: ignore[operator]


@pytest.mark.parametrize("turned", [False, True])
def test_quality_counts_within_the_boxes_alone(turned: bool) -> None:
    """The right half is broken, or the lower one. The left box's last windows end where the break begins."""
    pixels = np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)
    broken = pixels.copy()
    broken[:, 32:] = 0
    if turned:
        pixels, broken = pixels.transpose(1, 0, 2), broken.transpose(1, 0, 2)
    original, returned = (Picture.from_pil(Image.fromarray(np.ascontiguousarray(part))) for part in (pixels, broken))

    def within(*boxes: list[int]) -> dict[str, Any]:
        target: dict[str, Any] = {
            "boxes": [[y0, x0, y1, x1] if turned else [x0, y0, x1, y1] for x0, y0, x1, y1 in boxes]
        }
        return measured(a_sample(target if boxes else {}, original), Response(image=returned))

    left, right = within([5, 5, 27, 59]), within([38, 5, 59, 59])
    assert left["psnr"] > 58 and left["ssim"] == pytest.approx(1, abs=1e-9)
    assert right["psnr"] < 10 and right["ssim"] < 0.1
    assert right["ssim"] < within()["ssim"] < left["ssim"]
    assert within([5, 5, 28, 59])["ssim"] < 1 - 1e-6, "one column more, and a window touches the break"
    halves = within([0, 0, 32, 64], [32, 0, 64, 64])
    assert halves["psnr"] == pytest.approx(within()["psnr"]) and halves["ssim"] == pytest.approx(within()["ssim"])


def test_lost_resolution_is_lost_quality() -> None:
    original = Picture.from_pil(Image.fromarray(np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8)))
    half = Picture.from_pil(original.load().resize((32, 32), Image.Resampling.BOX))
    assert measured(a_sample(image=original), Response(image=half))["ssim"] < 0.6  # type: ignore[operator]


SEEN: dict[str, Mapping[str, JSON]] = {
    "detector": {
        "size": [64, 64],
        "boxes": {"star": [[10, 10, 20, 20, 0.9], [40, 40, 50, 50, 0.2]], "circle": [[30, 30, 40, 40, 0.8]]},
    },
    "colour_classifier": {
        "colours": ["red", "blue"],
        "probabilities": {"star": [[0.9, 0.1], [0.9, 0.1]], "circle": [[0.4, 0.6]]},
    },
}


@pytest.mark.parametrize(
    ("things", "share", "lost"),
    [
        ([("star", "red", [10, 10, 20, 20])], 1.0, ""),
        ([("star", "red", [12, 8, 22, 18])], 1.0, ""),
        ([("star", "red", [13, 10, 23, 20])], 0.0, "lost: red star"),
        ([("star", "blue", [10, 10, 20, 20])], 0.0, "lost: blue star"),
        ([("star", "red", [40, 40, 50, 50])], 0.0, "lost: red star"),
        ([("star", "red", [10, 10, 20, 20]), ("star", "red", [11, 10, 21, 20])], 0.5, "lost: red star"),
        ([("circle", "blue", [30, 30, 40, 40]), ("star", "red", [0, 0, 9, 9])], 0.5, "lost: red star"),
    ],
    ids=["kept", "moved a little", "moved", "another colour", "too faint", "one for two", "one of two"],
)
def test_things_are_kept_one_for_one(things: list[tuple[str, str, list[int]]], share: float, lost: str) -> None:
    target = {"things": [{"class": name, "colour": colour, "box": box} for name, colour, box in things]}
    score = kept(a_sample(target), SEEN, 0.3)  # type: ignore[arg-type]
    assert score.value == share and score.reason == lost


def test_metrics_look_where_they_say() -> None:
    shown: dict[str, JSON] = {"size": 12, "angle": 0, "contrast": 1.0, "words": 2, "font": "sans"}

    def scored(kind: str, value: float, ssim: float, psnr: float, category: str = "c", **more: JSON) -> Scored:
        target: dict[str, JSON] = {"text": "x"} if kind == "text" else {}
        parts: dict[str, JSON] = {"ssim": ssim, "psnr": psnr, "cer": 1 - value}
        name = f"{kind} {value} {ssim}"
        sample = Sample(name, {}, target, name, category, (), {"kind": kind, **more})
        return Scored(sample, 0, Score(value, parts=parts))

    rows = [
        scored("text", 1.0, 0.9, 30.0, script="latin", **shown),
        scored("text", 0.0, 0.7, 20.0, script="latin", **shown),
        scored("faces", 0.5, 0.5, 10.0, "faces 24"),
        Scored(
            a_sample({"text": "y"}, kind="text", script="chinese", **shown), 0, Score(None, reason="no"), failed=True
        ),
    ]
    found = {name: metric(rows) for name, metric in tokenizer_ceiling.metrics(JUDGE).items()}
    assert next(iter(found)) == "overall"
    assert (found["overall"].value, found["overall"].n, found["overall"].failed) == (0.5, 2, 1)
    assert found["latin_size_12"].value == 0.5 and found["latin_size_16"].value is None
    assert found["chinese"].value is None and found["chinese"].failed == 1
    assert found["cer"].value == 0.5
    assert found["ssim"].value == pytest.approx(0.7) and found["ssim_text"].value == pytest.approx(0.8)
    assert found["ssim_faces_size_24"].value == 0.5 and found["ssim_faces_size_16"].value is None
    assert found["psnr"].value == pytest.approx(20) and found["psnr"].unit == "dB"
    assert found["psnr_text"].value == pytest.approx(25)
    likeness = photos.judge
    alone = {name: metric(rows) for name, metric in tokenizer_ceiling.metrics(likeness).items()}
    assert list(alone) == ["overall", "psnr"] and alone["overall"].n == 3


def test_the_drawn_pictures_are_the_same_every_time_and_all_of_them_differ() -> None:
    ask = {"pictures_per_setting": 1, "data_seed": 0}
    rows = tokenizer_pictures.drawn(ask)
    settings = len(tokenizer_pictures.FACES) + len(tokenizer_pictures.PERIODS) + 2
    digests = [row.images[0].digest for row in rows]
    assert len(set(digests)) == len(rows) == settings == len({row.category for row in rows})
    assert digests == [row.images[0].digest for row in tokenizer_pictures.drawn(ask)]
    assert digests[0] != tokenizer_pictures.drawn({**ask, "data_seed": 1})[0].images[0].digest
    assert all(row.images[0].load().size == (384, 384) for row in rows)
    for row in rows:
        for x0, y0, x1, y1 in row.target.get("boxes", ()):  # type: ignore[union-attr, misc]
            assert x1 - x0 == y1 - y0 == row.metadata["scale"] and 0 < x0 < x1 < 384 and 0 < y0 < y1 < 384  # type: ignore[operator]


def test_a_grating_has_its_period_and_a_texture_the_spectrum_of_nature() -> None:
    pixels = np.asarray(tokenizer_pictures.grating(8, random.Random(3)), dtype=float)[..., 0]
    power = np.abs(np.fft.fft2(pixels - pixels.mean()))
    row, column = np.unravel_index(int(power.argmax()), power.shape)
    frequency = np.hypot(np.fft.fftfreq(384)[row], np.fft.fftfreq(384)[column])
    assert 1 / frequency == pytest.approx(8, rel=0.05)
    noise = np.asarray(tokenizer_pictures.texture(random.Random(3)), dtype=float).mean(axis=2)
    spectrum = np.abs(np.fft.fft2(noise - noise.mean()))
    at = np.hypot(np.fft.fftfreq(384)[:, None], np.fft.fftfreq(384)[None])
    low, high = (spectrum[(at > f) & (at < 1.2 * f)].mean() for f in (0.02, 0.2))
    assert low / high == pytest.approx(10, rel=0.25), "ten times the frequency, a tenth of the amplitude"


def test_photographs_are_found_by_name_and_become_squares(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    Image.new("RGB", (700, 400), (1, 2, 3)).save(folder / "b.jpg")
    Image.new("L", (100, 500), 7).save(folder / "more" / "a.PNG")
    (folder / "c.jpg").write_bytes(b"\xff\xd8\xffnothing")
    (folder / "notes.txt").write_text("none of them")
    try:
        datasets.look_first_in(tmp_path)
        rows = tokenizer_ceiling.samples(photos.ask)
    finally:
        datasets.look_first_in(None)
    assert [row.id for row in rows] == ["b.jpg", "c.jpg", "more/a.PNG"]
    assert [rows[k].images[0].load().size for k in (0, 2)] == [(384, 384)] * 2
    assert rows[1].images[0].data == b"\xff\xd8\xffnothing", "the model fails on it, and that is counted"


def test_without_photographs_the_line_says_where_to_put_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JANUS_EVAL_DATA", str(tmp_path))
    with pytest.raises(UserError, match=r"no folder 'photos' with photographs: make .*photos, or --data DIR"):
        tokenizer_ceiling.samples(photos.ask)
    (tmp_path / "photos").mkdir()
    with pytest.raises(UserError, match="holds no photograph"):
        tokenizer_ceiling.samples(photos.ask)


def test_a_broken_photograph_is_a_failed_request(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JANUS_EVAL_DATA", str(tmp_path))
    (tmp_path / "photos").mkdir()
    buffer = io.BytesIO()
    tokenizer_pictures.texture(random.Random(0)).save(buffer, "PNG")
    (tmp_path / "photos" / "a.png").write_bytes(buffer.getvalue())
    (tmp_path / "photos" / "b.png").write_bytes(buffer.getvalue()[:500])
    run = janus_eval.evaluate("unchanged", ["tokenizer-ceiling/photos"], out=tmp_path / "runs")
    found = run.results["tasks"]["tokenizer-ceiling"]["photos"]
    assert found["failed"] == 1 and found["metrics"]["overall"]["failed"] == 1
    assert found["metrics"]["overall"]["value"] == pytest.approx(1) and found["metrics"]["overall"]["n"] == 1


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Results of shapes-tokenizer by what stands in the tokenizer's place."""
    out = tmp_path_factory.mktemp("shapes")
    models = {"unchanged": "unchanged", "blurred": Tokenizer(blurred), "grey": Tokenizer(lambda im: im.convert("L"))}
    runs = {
        name: janus_eval.evaluate(model, ["shapes-tokenizer"], out=out / name, limit=6)
        for name, model in models.items()
    }
    return {name: run.results["tasks"]["shapes-tokenizer"]["kept"]["metrics"] for name, run in runs.items()}


def test_unchanged_is_the_ceiling(shapes: dict[str, Any]) -> None:
    values = {
        name: estimate["value"] for name, estimate in shapes["unchanged"].items() if estimate["value"] is not None
    }
    assert values.pop("cer") == 0
    assert {value for name, value in values.items() if not name.startswith(("psnr", "ssim"))} == {1.0}
    assert all(value == pytest.approx(58.92, abs=0.01) for name, value in values.items() if name.startswith("psnr"))


def test_what_a_tokenizer_loses_shows_where_it_loses_it(shapes: dict[str, Any]) -> None:
    blurred, grey = shapes["blurred"], shapes["grey"]
    assert grey["things"]["value"] == 0 and grey["digits"]["value"] == 1, "colours go, ink stays"
    assert blurred["things"]["value"] > 0.8 and blurred["digits"]["value"] < blurred["things"]["value"]
    assert 0 < blurred["overall"]["value"] < 1 and blurred["ssim"]["value"] < 0.95


def test_shapes_targets_are_what_the_detector_finds_in_the_originals() -> None:
    rows = shapes_tokenizer.samples({"scenes": 40, "texts_per_height": 1, "data_seed": 0})
    scenes = [row for row in rows if row.category == "things"]
    assert len(scenes) == 40 and all(row.target["things"] for row in scenes)
    assert 0 < sum(row.metadata["seen"] is False for row in scenes) < 20


def test_unchanged_has_no_checkpoints() -> None:
    with pytest.raises(UserError, match="'unchanged' has no checkpoints, got 'x'"):
        contenders(["unchanged:x"], {})[0].load()


def test_every_instrument_role_is_asked_what_its_kind_takes() -> None:
    assert isinstance(shapes_tokenizer, TokenizerCeiling)
    row = next(row for row in shapes_tokenizer.samples({"scenes": 1, "texts_per_height": 1, "data_seed": 0}))
    for role in ("detector", "colour_classifier"):
        query = shapes_tokenizer.query(role, row, 0)
        assert query == {"classes": sorted({thing["class"] for thing in row.target["things"]})}  # type: ignore[index, union-attr, call-overload]
