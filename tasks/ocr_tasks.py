"""Reading and writing text as it looks: rendered in open fonts to be read, and asked for in a prompt to be drawn.

Sizes: 320 pictures to read and 108 prompts, each drawn four times. With half of them right, intervals reach to either
side: for reading 5 points overall, 22 at a size (20 pictures), 37 at another setting (10); for writing 5 to 9 overall,
7 to 13 for a script, 15 to 28 for a wording, by how far the pictures of a prompt agree.
"""

from __future__ import annotations

from janus_eval.tasks.ocr import (
    DEFAULT_STEPS,
    TextReading,
    TextWriting,
    reading_protocols,
    with_contained,
    writing_protocols,
)
from janus_eval.tasks.slices import Slice, having
from janus_eval.tasks.textimages import prompts, samples
from janus_eval.tasks.textimages.samples import PLAIN, only
from janus_eval.tasks.textimages.words import SCRIPTS

STEPS = ("nfkc", "spaces", "chinese", *DEFAULT_STEPS[2:])
READER = "rapidocr"
MIN_SCORE = 0.5
"""rapidocr's own threshold on a line's score."""


def _both(first: Slice, second: Slice) -> Slice:
    return lambda sample: first(sample) and second(sample)


def _size_slices() -> dict[str, Slice]:
    """The scripts, and the curve over sizes for both together and for each."""
    scripts: dict[str, Slice] = {script: having("script", script) for script in SCRIPTS}
    sizes = {f"size_{size}": only("size", size) for size in samples.SIZES}
    each = {f"{script}_{name}": _both(scripts[script], size) for script in scripts for name, size in sizes.items()}
    return {**scripts, **sizes, **each}


def _knob_slices() -> dict[str, Slice]:
    """The other knobs, each with its plain value beside those that differ from it."""
    slices = {f"angle_{angle}": only("angle", angle) for angle in (PLAIN.angle, *samples.ANGLES)}
    for contrast in (PLAIN.contrast, *samples.CONTRASTS):
        name = f"contrast_{round(100 * contrast)}" if contrast > 0 else "light_on_dark"
        slices[name] = only("contrast", contrast)
    slices |= {f"words_{count}": only("words", count) for count in sorted((PLAIN.words, *samples.COUNTS))}
    return {**slices, "serif": only("font", "serif")}


def _writing_slices() -> dict[str, Slice]:
    return {
        **{script: having("script", script) for script in SCRIPTS},
        **{f"words_{count}": having("words", count) for count in prompts.COUNTS},
        **{wording: having("wording", wording) for wording in prompts.WORDINGS},
    }


ocr_read = TextReading(
    "ocr-read",
    "Reading: rendered text, English and Chinese, 8 to 96 px",
    samples.samples,
    with_contained(
        reading_protocols({"texts_per_size": 10, "texts_per_setting": 5, "data_seed": 0, "max_new_tokens": 128}, STEPS)
    ),
    slices={**_size_slices(), **_knob_slices()},
    rates=_size_slices(),
)
ocr_write = TextWriting(
    "ocr-write",
    "Writing: texts drawn to order, English and Chinese, read by PP-OCR",
    prompts.samples,
    with_contained(writing_protocols({"texts_per_cell": 3, "data_seed": 0}, READER, STEPS, min_score=MIN_SCORE)),
    slices=_writing_slices(),
    rates={script: having("script", script) for script in SCRIPTS},
)
