"""The reference models: the oracle is right about every row of every task, the blank one never by knowledge."""

from __future__ import annotations

import io
import random
from typing import Any

import numpy as np
import pytest

from janus_eval.errors import UserError
from janus_eval.pictures import Picture
from janus_eval.seams import Illustrator, Understander
from janus_eval.tasks.mmbench import format_question
from janus_eval.tasks.shapes import curriculum, samples, scenes
from janus_eval.tasks.shapes.descriptions import parse
from janus_eval.tasks.shapes.reference_models import blank, oracle
from janus_eval.tasks.shapes.scenes import Scene, Thing, render, to_picture
from janus_eval.tasks.shapes.sight import see
from janus_eval.types import Drawing, Failure, Question, RequestKey, Response

KEY = RequestKey("t", "s")


def _oracle() -> Any:
    return oracle.load(None, oracle.Settings())


def _blank() -> Any:
    return blank.load(None, blank.Settings())


def test_they_offer_what_they_declare() -> None:
    assert isinstance(_oracle(), Understander) and isinstance(_oracle(), Illustrator)
    assert isinstance(_blank(), Illustrator)
    assert oracle.capabilities == {"answer", "score", "draw"} and blank.capabilities == {"answer", "draw"}


def test_the_oracle_answers_every_multiple_choice_row() -> None:
    rows = samples.mmbench(130, seed=5)
    questions = [Question(KEY, format_question(row.inputs), row.images) for row in rows]
    answers = [response.text for response in _oracle().answer(questions)]
    assert answers == [row.target["answer"] for row in rows]


def test_the_oracle_reads_every_text() -> None:
    rows = samples.ocr_read(per_height=6, seed=5)
    questions = [Question(KEY, str(row.inputs["question"]), row.images) for row in rows]
    assert [response.text for response in _oracle().answer(questions)] == [row.target["text"] for row in rows]


def test_the_oracle_draws_every_prompt() -> None:
    rows = samples.geneval(seed=5) + samples.dpg(seed=5) + samples.ocr_write(seed=5)
    drawings = [Drawing(KEY, str(row.inputs["prompt"]), seed) for seed, row in enumerate(rows)]
    for drawing, response in zip(drawings, _oracle().draw(drawings), strict=True):
        assert isinstance(response, Response) and response.image is not None, response
        sight, wanted = see(response.image), parse(drawing.prompt)
        found = sorted((d.shape, d.colour) for d in sight.detections)
        assert [shape for shape, _ in found] == sorted(p.shape for p in wanted.phrases for _ in range(p.count))
        assert all(p.colour is None or (p.shape, p.colour) in found for p in wanted.phrases)
        assert [region.text for region in sight.regions] == ([wanted.text] if wanted.text else [])


def test_a_drawing_comes_from_its_seed_alone_at_its_size() -> None:
    drawings = [
        Drawing(KEY, "a photo of two stars", seed, size) for seed, size in ((1, None), (2, None), (1, (96, 32)))
    ]
    first, second, sized = (response.image for response in _oracle().draw(drawings))
    assert first != second and first == _oracle().draw(drawings[:1])[0].image
    assert (sized.load().width, sized.load().height) == (32, 96)


def test_the_oracle_scores_the_right_continuation_highest() -> None:
    picture = to_picture(render(Scene((Thing("star", "red", 32, 32, 12),))))
    (scores,) = _oracle().score([Question(KEY, "What color is the star?", (picture,))], [["blue", " red", "green"]])
    assert np.argmax(scores) == 1 and np.exp(scores).sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "question",
    [
        Question(KEY, "Is the cat asleep?", (to_picture(render(Scene())),)),
        Question(KEY, "Is there a star?"),
        Question(KEY, "Is there a star?", (Picture(b"nothing"),)),
    ],
    ids=["other world", "no picture", "broken picture"],
)
def test_what_the_oracle_cannot_answer_is_a_failure(question: Question) -> None:
    (answer,), (scores,) = _oracle().answer([question]), _oracle().score([question], [["yes"]])
    assert isinstance(answer, Failure) and isinstance(scores, Failure) and answer.reason


@pytest.mark.parametrize("prompt", ["", "a bench", "five stars", 'the word "HELLO"', "x " * 10_000])
def test_what_the_oracle_cannot_draw_is_a_failure(prompt: str) -> None:
    (failure,) = _oracle().draw([Drawing(KEY, prompt)])
    assert isinstance(failure, Failure) and len(failure.reason) < 500


def test_blank_says_a_and_draws_the_ground() -> None:
    (answer,) = _blank().answer([Question(KEY, "Anything?")])
    assert answer.text == "A"
    (drawn,) = _blank().draw([Drawing(KEY, "a photo of a star")])
    sight = see(drawn.image)
    assert not sight.detections and not sight.regions
    assert (np.asarray(drawn.image.load()) == scenes.GROUND).all()


def test_reference_models_have_no_checkpoints() -> None:
    with pytest.raises(UserError, match="no checkpoints"):
        oracle.load("folder", oracle.Settings())


def test_pictures_survive_other_formats() -> None:
    """A JPEG of good quality reads as the PNG does: pictures drawn elsewhere are judged too."""
    rng = random.Random(1)
    for _ in range(10):
        scene = curriculum.random_scene(rng)
        buffer = io.BytesIO()
        to_picture(render(scene)).load().save(buffer, "JPEG", quality=95, subsampling=0)
        found = sorted((d.shape, d.colour) for d in see(Picture(buffer.getvalue())).detections)
        assert found == sorted((thing.shape, thing.colour) for thing in scene.things)
