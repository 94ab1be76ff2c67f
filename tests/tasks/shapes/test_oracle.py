"""The instruments as the runner uses them: their data's form, pictures of any kind, and their version."""

from __future__ import annotations

import hashlib
import io
import json
import random
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

import numpy as np
import pytest
from PIL import Image

from janus_eval.pictures import Picture
from janus_eval.seams import Instrument
from janus_eval.tasks.shapes import curriculum, oracle, samples, scenes
from janus_eval.tasks.shapes.descriptions import parse, stage
from janus_eval.tasks.shapes.scenes import COLOURS, SHAPES, Pixels, Scene, Thing, render, to_picture
from janus_eval.types import JSON, Failure, Look, Observation

QUERIES: dict[str, Mapping[str, JSON]] = {
    "detector": {"classes": [*SHAPES, "bench"]},
    "colour_classifier": {"classes": list(SHAPES)},
    "visual_qa": {"questions": {"1": "Is there a circle?", "2": "What word is written?"}},
    "text_reader": {},
}
INSTRUMENTS: list[Instrument] = [
    oracle.ShapesDetector(),
    oracle.ShapesColours(),
    oracle.ShapesVQA(),
    oracle.ShapesReader(),
]
EACH = pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda instrument: instrument.kind)
NO_BOXES = {"detector": {"size": [64, 64], "boxes": {}, "masks": {}}}

TWO = Scene((Thing("circle", "red", 16, 16, 10), Thing("star", "blue", 48, 40, 12)))


def _data(instrument: Instrument, image: Picture, query: Mapping[str, JSON], earlier: Any = None) -> Any:
    (observation,) = instrument.observe([Look(query, image, earlier=earlier or {})])
    assert isinstance(observation, Observation), observation
    json.dumps(observation.data)  # plain data, as it is stored
    return observation.data


def _decode(runs: list[int], size: list[int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    assert sum(runs) == size[0] * size[1]
    flat = np.zeros(size[0] * size[1], dtype=bool)
    edges = [0, *accumulate(runs)]
    for start, stop in zip(edges[1::2], edges[2::2], strict=False):
        flat[start:stop] = True
    return flat.reshape(size)


@pytest.mark.parametrize("factor", [1, 2, 6])
def test_detector_and_colours_in_the_pictures_own_pixels(factor: int) -> None:
    image = Image.fromarray(render(TWO)).resize((64 * factor, 64 * factor), Image.Resampling.NEAREST)
    picture = Picture.from_pil(image)
    detector = _data(oracle.ShapesDetector(), picture, QUERIES["detector"])
    assert detector["size"] == [64 * factor, 64 * factor]
    assert {name: len(boxes) for name, boxes in detector["boxes"].items()} == {
        "circle": 1,
        "square": 0,
        "triangle": 0,
        "star": 1,
        "bench": 0,
    }
    x0, y0, x1, y1, score = detector["boxes"]["circle"][0]
    assert [x0, y0, x1, y1] == [6 * factor, 6 * factor, 26 * factor, 26 * factor] and score == 1.0
    mask = _decode(detector["masks"]["circle"][0], detector["size"])
    assert mask[16 * factor, 16 * factor] and not mask[40 * factor, 48 * factor]
    assert mask.sum() == pytest.approx(np.pi * (10 * factor) ** 2, rel=0.05)
    earlier = {"detector": detector}
    colours = _data(oracle.ShapesColours(), picture, QUERIES["colour_classifier"], earlier)
    assert colours["colours"] == list(COLOURS)
    (row,) = colours["probabilities"]["star"]
    assert COLOURS[int(np.argmax(row))] == "blue" and sum(row) == pytest.approx(1, abs=1e-3)
    without_masks = {"detector": {**detector, "masks": {}}}
    boxed = _data(oracle.ShapesColours(), picture, QUERIES["colour_classifier"], without_masks)
    assert COLOURS[int(np.argmax(boxed["probabilities"]["circle"][0]))] == "red"


def test_masks_at_sizes_that_divide_nothing() -> None:
    (detection,) = oracle.see(to_picture(render(Scene((Thing("square", "red", 32, 32, 32),))))).detections
    for height, width in ((64, 64), (37, 37), (100, 73), (9, 200)):
        runs = oracle.run_lengths(detection.mask, (height, width), 64 / max(height, width))
        assert sum(runs) == height * width and all(length >= 0 for length in runs)
    runs = oracle.run_lengths(detection.mask, (64, 64), 1.0)
    assert (oracle.sample_mask(runs, (64, 64), 1.0) == detection.mask).all()


def test_reader_regions() -> None:
    picture = to_picture(render(stage(parse('the word "OK"'), random.Random(0))))
    (region,) = _data(oracle.ShapesReader(), picture, {})["regions"]
    assert region["text"] == "OK" and region["score"] > 0.95 and len(region["box"]) == 4
    assert _data(oracle.ShapesReader(), to_picture(render(TWO)), {})["regions"] == []


def test_every_question_of_a_graph_is_answered_with_yes_by_its_own_picture() -> None:
    for row in samples.dpg(60, seed=7):
        scene = stage(parse(str(row.inputs["prompt"])), random.Random(row.id))
        graph: Any = row.target["questions"]
        questions = {str(question["id"]): question["question"] for question in graph}
        answers = _data(oracle.ShapesVQA(), to_picture(render(scene)), {"questions": questions})["answers"]
        assert set(answers.values()) == {"yes"}, (row.inputs["prompt"], questions, answers)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("Is there a red circle?", "yes"),
        ("Is there a blue circle?", "no"),
        ("Are there any squares?", "no"),
        ("Are there two stars?", "no"),
        ("Is the star blue?", "yes"),
        ("Is the star large?", "yes"),
        ("Is the star small?", "no"),
        ("Is the circle small?", "no"),
        ("Is the circle left of the star?", "yes"),
        ("Is the circle below the star?", "no"),
        ("Is the square left of the star?", "no"),
        ("What color is the circle?", "red"),
        ("What shape is the blue object?", "star"),
        ("How many objects are there?", "two"),
        ("How many red objects are there?", "one"),
        ("How many squares are there?", "zero"),
        ("Where is the circle?", "top left"),
        ("Where is the star relative to the circle?", "right"),
        ("What is left of the star?", "none"),  # 32 by 24 pixels: neither axis dominates
        ("What word is written?", "none"),
    ],
)
def test_questions(question: str, answer: str) -> None:
    data = _data(oracle.ShapesVQA(), to_picture(render(TWO)), {"questions": {"q": question}})
    assert data["answers"] == {"q": answer}


def test_a_question_of_another_world_is_a_failure_with_its_reason() -> None:
    look = Look({"questions": {"1": "Is the cat asleep?"}}, to_picture(render(TWO)))
    (failure,) = oracle.ShapesVQA().observe([look])
    assert isinstance(failure, Failure) and "Is the cat asleep?" in failure.reason


def _png(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


STRANGE = {
    "one pixel": _png(Image.new("RGB", (1, 1), "red")),
    "very wide": _png(Image.new("RGB", (20_000, 3), "green")),
    "very high": _png(Image.new("RGB", (2, 5_000), "white")),
    "black": _png(Image.new("RGB", (64, 64))),
    "grey": _png(Image.new("L", (30, 50), 128)),
    "16 bit": _png(Image.fromarray(np.full((20, 20), 40_000, dtype=np.uint16))),
    "transparent": _png(Image.new("RGBA", (64, 64), (255, 0, 0, 100))),
    "noise": _png(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))),
    "large noise": _png(Image.fromarray(np.random.default_rng(1).integers(0, 256, (300, 200, 3), dtype=np.uint8))),
}


@EACH
@pytest.mark.parametrize("name", list(STRANGE))
def test_strange_pictures_are_looked_at(instrument: Instrument, name: str) -> None:
    _data(instrument, Picture(STRANGE[name]), QUERIES[instrument.kind], NO_BOXES)


@EACH
@pytest.mark.parametrize("data", [b"", b"no picture", STRANGE["noise"][:300]], ids=["empty", "text", "truncated"])
def test_what_is_no_picture_is_a_failure_and_leaves_the_rest_standing(instrument: Instrument, data: bytes) -> None:
    good, query = to_picture(render(TWO)), QUERIES[instrument.kind]
    looks = [Look(query, image, earlier=NO_BOXES) for image in (good, Picture(data), None, good)]
    first, bad, missing, last = instrument.observe(looks)
    assert isinstance(bad, Failure) and isinstance(missing, Failure)
    assert isinstance(first, Observation) and first == last


def test_colours_without_boxes_are_a_failure() -> None:
    (failure,) = oracle.ShapesColours().observe([Look({"classes": ["star"]}, to_picture(render(TWO)))])
    assert isinstance(failure, Failure) and "detector" in failure.reason


def test_oracle_versions(crowded: Callable[[random.Random], Scene], degraded: Callable[..., Pixels]) -> None:
    """The version is part of a run's fingerprint, so what it stands for must not change unnoticed."""
    rng = random.Random(99)
    pictures = [render(crowded(rng)) for _ in range(30)] + [render(curriculum.text_scene(rng)) for _ in range(30)]
    pictures += [degraded(picture, 0.7, 10.0) for picture in pictures]
    seen = []
    for pixels in pictures:
        sight = oracle.see(to_picture(pixels))
        things = [(d.shape, d.colour, d.box, round(d.score, 1)) for d in sight.detections]
        seen.append([things, [(region.text, region.box) for region in sight.regions]])
    digest = hashlib.sha256(json.dumps(seen).encode()).hexdigest()[:12]
    assert (oracle.VERSION, digest) == GOLDEN, "what the oracle sees has changed: raise VERSION, then note the digest"


GOLDEN = ("1", "95d8195f965b")


def test_scenes_are_never_seen_by_the_instruments() -> None:
    for module in ("detection", "reading", "sight"):
        source = __import__(f"janus_eval.tasks.shapes.{module}", fromlist=["x"])
        assert not hasattr(source, "Scene"), f"{module} must know pictures only"
    assert hasattr(scenes, "Scene")
