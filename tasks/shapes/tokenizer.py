"""The shapes world through a model's tokenizer and back: things and writing that the world's instruments find again."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import cast

from janus_eval.pictures import Picture
from janus_eval.tasks.shapes import curriculum, samples, scenes
from janus_eval.tasks.shapes.scenes import render, to_picture
from janus_eval.tasks.shapes.sight import see
from janus_eval.tasks.shapes.tasks import COLOURS, DETECTOR, READER, shapes_ocr_read
from janus_eval.tasks.slices import SEEN, in_category
from janus_eval.tasks.tokenizer_ceiling import TokenizerCeiling
from janus_eval.types import JSON, Protocol, Sample

THRESHOLD = 0.3
"""GenEval's, so that what is kept here is what counts there."""


def _rows(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    """``scenes`` pictures of one to four things, a fifth of them with something that training never shows, and the
    pictures of ``shapes-ocr-read``."""
    texts = samples.ocr_read(cast(int, ask["texts_per_height"]), cast(int, ask["data_seed"]))
    return [*_scenes(cast(int, ask["scenes"]), cast(int, ask["data_seed"])), *texts]


def _scenes(count: int, seed: int) -> list[Sample]:
    rng = random.Random(f"shapes-tokenizer, held out, {seed}")
    rows = []
    for number in range(count):
        unseen = rng.random() < samples.UNSEEN_SHARE
        scene = curriculum.random_scene(rng, seen=not unseen)
        while scenes.is_seen(scene) == unseen:
            scene = curriculum.random_scene(rng, seen=not unseen)
        name, picture = f"things-{number:03d}", to_picture(render(scene))
        target = {"things": _things(picture)}
        rows.append(Sample(name, {}, target, name, "things", (picture,), {"seen": not unseen}))
    return rows


def _things(picture: Picture) -> list[JSON]:
    """What the world's detector finds in the original: what it can't see there the tokenizer has not lost."""
    return [
        {"class": found.shape, "colour": found.colour, "box": list(found.box)}
        for found in see(picture).detections
        if found.score > THRESHOLD
    ]


kept = Protocol(
    "kept",
    ask={"scenes": 100, "texts_per_height": 10, "data_seed": 0},
    observe={"detector": DETECTOR, "colour_classifier": COLOURS, "text_reader": READER},
    judge={**shapes_ocr_read.protocols["exact"].judge, "overall": "found", "min_score": 0.0, "threshold": THRESHOLD},
    note="things found again in shape, colour and place, texts read to the letter",
)
shapes_tokenizer = TokenizerCeiling(
    "shapes-tokenizer",
    "The image tokenizer alone: shapes and texts of the world that it keeps",
    _rows,
    {kept.name: kept},
    slices={"things": in_category("things"), **shapes_ocr_read.slices, **SEEN},
    kinds={kind: in_category(kind) for kind in ("things", "digits", "words")},
)
