"""The grids of pictures and prompts: one knob at a time, texts anew, the same on every call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pytest

from janus_eval import plan
from janus_eval.tasks.textimages import prompts, samples
from janus_eval.tasks.textimages.samples import PLAIN, SIZES, Setting, only
from janus_eval.tasks.textimages.words import SCRIPTS, words
from janus_eval.types import JSON, Sample

ASK: dict[str, JSON] = {"texts_per_size": 2, "texts_per_setting": 1, "data_seed": 0}


@pytest.fixture(scope="module")
def grid() -> Sequence[Sample]:
    return samples.samples(ASK)


def test_one_knob_at_a_time(grid: Sequence[Sample]) -> None:
    plain = asdict(PLAIN)
    for sample in grid:
        differing = [name for name, value in plain.items() if sample.metadata[name] != value]
        assert len(differing) <= 1, sample.id
        assert sample.images[0].load().size == (384, 384)
    found = Counter((sample.metadata["script"], sample.category) for sample in grid)
    assert len(found) == len(SCRIPTS) * len(samples.settings()) == len({sample.category for sample in grid})
    assert Counter(found.values()) == {2: 2 * len(SIZES), 1: 2 * (len(samples.settings()) - len(SIZES))}
    assert len({sample.id for sample in grid}) == len(grid) == len({sample.images[0].digest for sample in grid})
    assert len(plan.limited(grid, 1)) == len(found)


def test_a_slice_has_its_value_and_nothing_else_apart(grid: Sequence[Sample]) -> None:
    chosen = [sample for sample in grid if only("angle", 90)(sample)]
    assert [(sample.metadata["angle"], sample.metadata["size"]) for sample in chosen] == [(90, PLAIN.size)] * 2
    # The plain value's slice holds the plain pictures, once however many knobs they stand beside.
    level = [sample.id for sample in grid if only("angle", 0)(sample)]
    assert level == [sample.id for sample in grid if only("size", PLAIN.size)(sample)] and len(level) == 4


def test_texts_are_the_scripts_own(grid: Sequence[Sample]) -> None:
    for sample in grid:
        text, count = str(sample.target["text"]), sample.metadata["words"]
        if sample.metadata["script"] == "latin":
            parts = text.split(" ")
            assert len(parts) == count and set(parts) <= set(words()["latin"])
        else:
            assert len(text) == 2 * int(str(count))
    assert len({str(sample.target["text"]) for sample in grid}) > 0.9 * len(grid)


def test_greys_have_the_contrast_that_they_are_named_by(grid: Sequence[Sample]) -> None:
    for sample in grid:
        pixels = np.asarray(sample.images[0].load().convert("L"), int)
        contrast = float(str(sample.metadata["contrast"]))
        paper, extreme = pixels[0, 0], pixels.min() if contrast > 0 else pixels.max()
        assert paper == (255 if contrast > 0 else 0)
        if sample.metadata["size"] == PLAIN.size:  # strokes are thick enough for a pixel all ink
            assert (paper - extreme) / 255 == pytest.approx(contrast, abs=0.03)
    assert Setting(contrast=0.1).greys == (229, 255) and Setting(contrast=-1.0).greys == (255, 0)


def test_the_same_ask_gives_the_same_rows(grid: Sequence[Sample]) -> None:
    again = samples.samples({**ASK, "texts_per_size": 1})
    for sample in again:
        (first,) = (other for other in grid if other.id == sample.id)
        assert first == sample
    other = samples.samples({**ASK, "texts_per_size": 1, "data_seed": 1})
    assert not {sample.images[0].digest for sample in other} & {sample.images[0].digest for sample in grid}


def test_prompts_quote_their_text_once() -> None:
    rows = prompts.samples({"texts_per_cell": 2, "data_seed": 0})
    assert len(rows) == 2 * len(SCRIPTS) * len(prompts.COUNTS) * len(prompts.WORDINGS) == len({row.id for row in rows})
    for row in rows:
        text, prompt = str(row.target["text"]), str(row.inputs["prompt"])
        opened, closed = ('"', '"') if row.metadata["script"] == "latin" else ("“", "”")
        assert prompt.count(opened + text + closed) == 1
        assert prompt.isascii() == (row.metadata["script"] == "latin")
    # As many prompts as wordings, of each category, hold every wording once.
    first = plan.limited(rows, len(prompts.WORDINGS))
    assert Counter(str(row.metadata["wording"]) for row in first) == dict.fromkeys(prompts.WORDINGS, 6)
    assert rows == prompts.samples({"texts_per_cell": 2, "data_seed": 0})
