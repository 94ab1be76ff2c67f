"""Two models that calibrate every number of the shapes tasks: ``oracle`` is right, ``blank`` shows the floor."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict

from janus_eval.errors import UserError
from janus_eval.pictures import Picture, PictureError
from janus_eval.tasks.shapes import vqa
from janus_eval.tasks.shapes.descriptions import parse, stage
from janus_eval.tasks.shapes.scenes import Pixels, Scene, render
from janus_eval.tasks.shapes.sight import see
from janus_eval.types import Capability, Drawing, Failure, Question, Response

# The oracle's probability for a right continuation; all wrong ones together have the rest.
RIGHT = 0.99


class NoSettings(BaseModel):
    """The reference models have no settings."""

    model_config = ConfigDict(extra="forbid")


class Oracle:
    """Answers from the picture with the instruments' own functions, draws a prompt by parsing it."""

    weights = "rules 1"

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        return [self._answer(question) for question in questions]

    def score(
        self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]
    ) -> list[list[float] | Failure]:
        return [self._score(question, texts) for question, texts in zip(questions, continuations, strict=True)]

    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        return [self._draw(drawing) for drawing in drawings]

    @staticmethod
    def _answer(question: Question) -> Response | Failure:
        if not question.images:
            return Failure("the oracle answers questions about a picture, got none")
        try:
            return Response(text=vqa.answer(question.text, see(question.images[-1])))
        except (PictureError, vqa.UnknownQuestionError) as error:
            return Failure(str(error))

    @classmethod
    def _score(cls, question: Question, texts: Sequence[str]) -> list[float] | Failure:
        answer = cls._answer(question)
        if isinstance(answer, Failure):
            return answer
        wrong = max(1, sum(text.strip() != answer.text for text in texts))
        return [math.log(RIGHT if text.strip() == answer.text else (1 - RIGHT) / wrong) for text in texts]

    @staticmethod
    def _draw(drawing: Drawing) -> Response | Failure:
        try:
            scene = stage(parse(drawing.prompt), random.Random(drawing.seed))
        except ValueError as error:
            return Failure(str(error))
        return Response(image=_at_size(render(scene), drawing.size))


class Blank:
    """Answers "A" to everything and draws the empty ground."""

    weights = "blank 1"

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        return [Response(text="A") for _ in questions]

    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        return [Response(image=_at_size(render(Scene()), drawing.size)) for drawing in drawings]


def _at_size(pixels: Pixels, size: tuple[int, int] | None) -> Picture:
    """A picture of ``size`` (height, width); None for the world's own."""
    image = Image.fromarray(np.asarray(pixels))
    if size is not None and size != (image.height, image.width):
        image = image.resize((size[1], size[0]), Image.Resampling.BICUBIC)
    return Picture.from_pil(image)


class Family:
    """A reference model as a model family: nothing to load."""

    Settings = NoSettings

    def __init__(self, name: str, model: type[Oracle] | type[Blank], capabilities: frozenset[Capability]) -> None:
        self.name = name
        self.capabilities = capabilities
        self._model = model

    def load(
        self, checkpoint: str | None, settings: NoSettings, *, device: str = "cpu", dtype: str = "float32"
    ) -> Oracle | Blank:
        if checkpoint is not None:
            raise UserError(f"model {self.name!r} has no checkpoints, got {checkpoint!r}: ask for {self.name!r} alone")
        return self._model()


oracle = Family("oracle", Oracle, frozenset({"answer", "score", "draw"}))
blank = Family("blank", Blank, frozenset({"answer", "draw"}))
