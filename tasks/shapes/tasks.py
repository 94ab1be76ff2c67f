"""The five shapes tasks: the real benchmarks' task code over the procedural world and its own instruments.

Sizes are chosen for the default run: some 700 requests a model, few enough for three models in minutes on two cores,
enough that an overall score is known to about a tenth. ``ask`` holds them, so they are part of a run's fingerprint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from janus_eval.suites import Suite
from janus_eval.tasks import dpg, geneval, mmbench, ocr
from janus_eval.tasks.shapes import curriculum, samples
from janus_eval.tasks.slices import SEEN, Slice, having, in_category
from janus_eval.types import JSON, Sample

DETECTOR, COLOURS, VISUAL_QA, READER = "shapes-detector", "shapes-colours", "shapes-vqa", "shapes-reader"

ABILITIES = {
    "attribute recognition": ("color", "shape", "pair"),
    "object localization": ("quadrant", "side"),
    "counting": ("shape", "color", "total"),
    "relation": ("direction", "object"),
    "text": ("digit", "word", "letter"),
}


def _number(ask: Mapping[str, JSON], name: str) -> int:
    return cast(int, ask[name])


def _both(*slices: Slice) -> Slice:
    return lambda sample: all(chosen(sample) for chosen in slices)


def _mmbench_rows(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    return samples.mmbench(_number(ask, "questions"), _number(ask, "data_seed"))


def _geneval_rows(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    return samples.geneval(_number(ask, "prompts_per_category"), _number(ask, "data_seed"))


def _dpg_rows(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    """The world's rows, with each question's place in the table that they would make together."""
    rows, place = [], 0
    for sample in samples.dpg(_number(ask, "prompts"), _number(ask, "data_seed")):
        questions = cast(Sequence[Mapping[str, JSON]], sample.target["questions"])
        numbered: list[JSON] = [{**question, "row": place + k} for k, question in enumerate(questions)]
        place += len(numbered)
        rows.append(replace(sample, target={**sample.target, "questions": numbered}))
    return rows


def _reading_rows(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    return samples.ocr_read(_number(ask, "texts_per_height"), _number(ask, "data_seed"))


def _writing_rows(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    return samples.ocr_write(_number(ask, "digits"), _number(ask, "words"), _number(ask, "data_seed"))


def _ability_slices() -> dict[str, Slice]:
    """Each ability, and under it ``ability/sub-ability``: two abilities have a sub-ability of the same name."""
    slices: dict[str, Slice] = {}
    for ability, subs in ABILITIES.items():
        slices[ability] = having("ability", ability)
        for sub in subs:
            slices[f"{ability}/{sub}"] = _both(slices[ability], having("sub_ability", sub))
    return slices


def _height_slices() -> dict[str, Slice]:
    """Digits and words, and each of them by the height of its letters in pixels: ``digits_height_12``."""
    slices: dict[str, Slice] = {}
    for kind, heights in (("digits", curriculum.DIGIT_HEIGHTS), ("words", curriculum.WORD_HEIGHTS)):
        slices[kind] = in_category(kind)
        slices |= {f"{kind}_height_{n}": _both(slices[kind], having("height", n)) for n in heights}
    return slices


shapes_mmbench = mmbench.MultipleChoice(
    "shapes-mmbench",
    "Shapes MMBench: multiple choice, circular",
    _mmbench_rows,
    mmbench.protocols({"questions": 65, "data_seed": 0, "max_new_tokens": 16}),
    slices={**_ability_slices(), **SEEN},
)
shapes_geneval = geneval.GenEval(
    "shapes-geneval",
    "Shapes GenEval: objects, counts, colours, positions",
    _geneval_rows,
    geneval.protocols({"prompts_per_category": 10, "data_seed": 0}, DETECTOR, COLOURS),
    slices=SEEN,
)
shapes_dpg = dpg.DPG(
    "shapes-dpg",
    "Shapes DPG-Bench: dense prompts, dependent questions",
    _dpg_rows,
    dpg.protocols({"prompts": 24, "data_seed": 0}, VISUAL_QA),
    categories=("entity", "attribute", "relation", "other"),
    slices=SEEN,
)
shapes_ocr_read = ocr.TextReading(
    "shapes-ocr-read",
    "Shapes reading: digits and words in pictures",
    _reading_rows,
    ocr.reading_protocols({"texts_per_height": 10, "data_seed": 0, "max_new_tokens": 16}),
    slices={**_height_slices(), **SEEN},
)
shapes_ocr_write = ocr.TextWriting(
    "shapes-ocr-write",
    "Shapes writing: digits and words drawn to order",
    _writing_rows,
    ocr.writing_protocols({"digits": 10, "words": 15, "data_seed": 0, "images_per_prompt": 2}, READER),
    slices={"digits": in_category("digits"), "words": in_category("words"), **SEEN},
)

suite = Suite(
    "shapes",
    tuple(task.name for task in (shapes_mmbench, shapes_geneval, shapes_dpg, shapes_ocr_read, shapes_ocr_write)),
    models=("nano-janus-pro", "nano-janus-flow", "oracle", "blank"),
    title="The embedded default: a procedural world, offline, in minutes",
)
