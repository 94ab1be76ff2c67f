"""Questions that share an image, answered by the loaded model that the harness runs, from pictures and texts."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from benchmarks.measure import Comparison, Contender, interleaved
from benchmarks.midsize import NEW_TOKENS, picture, words, write_checkpoint
from benchmarks.peers import transformers_answer, transformers_janus
from janus_eval.models.janus_pro.adapter import JanusProModel
from janus_eval.models.janus_pro.family import janus_pro
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.types import Question, RequestKey, Response

OURS, THEIRS = "janus-eval", "transformers"


class Pair(NamedTuple):
    """The harness's model and transformers' on the same weights."""

    ours: JanusProModel
    theirs: Any


class Whole(NamedTuple):
    """What transformers is given: every question's whole prompt, and the pixels of the one image, ready made."""

    prompts: Sequence[Sequence[int]]
    pixels: Tensor


def load_pair(model: JanusPro, device: str = "cpu", dtype: str = "float32") -> Pair:
    """Through a checkpoint on disk, as a user's model comes."""
    with tempfile.TemporaryDirectory() as folder:
        write_checkpoint(model, Path(folder))
        ours = janus_pro.load(folder, janus_pro.Settings(), device=device, dtype=dtype)
    return Pair(ours, transformers_janus(ours.model))


def questions(count: int, tokens: int) -> list[Question]:
    """Different questions of ``tokens`` words about one image."""
    shown = picture()
    return [
        Question(RequestKey("benchmark", str(k)), words(tokens, seed=k), (shown,), max_new_tokens=NEW_TOKENS)
        for k in range(count)
    ]


def whole_prompts(pair: Pair, asked: Sequence[Question]) -> Whole:
    ours = pair.ours
    prompts = [ours.processor.turn_ids(question.text, images=1, roles=ours.answerer.roles) for question in asked]
    pixels = ours.processor.pixels([asked[0].images[0].load()])
    return Whole(prompts, pixels.to(ours.device, ours.dtype))


def texts(pair: Pair, asked: Sequence[Question]) -> list[str]:
    """Our answers; all of them must be answers."""
    found = pair.ours.answer(asked)
    assert all(isinstance(response, Response) for response in found), found
    return [response.text or "" for response in found if isinstance(response, Response)]


def shared_image(pair: Pair, count: int, tokens: int, rounds: int) -> Comparison:
    asked = questions(count, tokens)
    whole = whole_prompts(pair, asked)
    contenders = (
        Contender(OURS, lambda: texts(pair, asked)),
        Contender(THEIRS, lambda: transformers_answer(pair.theirs, whole.prompts, whole.pixels, NEW_TOKENS)),
    )
    notes = f"{tokens} words a question, {NEW_TOKENS} tokens an answer, all questions in one batch."
    title = f"{count} questions about one image"
    return Comparison(title, "questions", count, OURS, interleaved(contenders, rounds), notes)
