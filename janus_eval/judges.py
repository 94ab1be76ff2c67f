"""Instruments by name; ``model:M[:CHECKPOINT][?k=v&...]`` is any model that answers, as a visual question answerer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

from janus_eval.errors import HaltError, Interrupted, UserError
from janus_eval.fingerprint import digest
from janus_eval.pictures import Picture
from janus_eval.seams import Instrument
from janus_eval.specs import ModelSpec, contenders, offered
from janus_eval.types import JSON, Failure, Look, Observation, Question, RequestKey, Response

PREFIX = "model:"
ANSWER_TOKENS = 16
VERSION = "1"
_FIRST_WORD = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


def instrument_of(name: str, *, device: str, dtype: str) -> Instrument:
    """What ``NAME``, ``NAME:TEXT`` (an instrument that is configured by a text) or ``model:...`` stands for.

    ``device`` and ``dtype`` are those of a model. Raises UserError for an unknown name or a text that means nothing.
    """
    if name.startswith(PREFIX):
        return ModelVQA(name, device=device, dtype=dtype)
    front, colon, text = name.partition(":")
    found = offered("instruments", front)
    if not colon:
        return cast(Instrument, found)
    if not hasattr(found, "configured"):
        raise UserError(f"instrument {front!r} stands alone, got {name!r}")
    return cast(Instrument, found.configured(text))


class ModelVQA:
    """Puts each question to the model as it stands, with the picture.

    An answer that begins with yes or no counts as that word alone, since models say "Yes, there is"; any other is kept
    in small letters. Raises UserError for a model that does not exist or cannot answer.
    """

    kind = "visual_qa"

    def __init__(self, name: str, *, device: str = "cpu", dtype: str = "float32") -> None:
        spec = ModelSpec.parse(name.removeprefix(PREFIX))
        [self._contender] = contenders([spec], {}, device=device, dtype=dtype)
        if "answer" not in self._contender.capabilities:
            raise UserError(f"instrument {name!r}: model {spec.name!r} cannot answer questions")

    @property
    def paid(self) -> bool:
        """Whether each look costs money: an estimate asks for none then."""
        return self._contender.paid

    @cached_property
    def _model(self) -> Any:
        return self._contender.load()

    @cached_property
    def weights(self) -> str:
        """Of the model that judges."""
        found: str = self._model.weights
        return found

    @cached_property
    def version(self) -> str:
        settings = self._contender.settings.model_dump(mode="json")
        knobs: JSON = [settings, self._contender.dtype, ANSWER_TOKENS, _FIRST_WORD.pattern]
        return f"{VERSION} weights {self.weights[:16]} settings {digest(knobs)}"

    def self_test(self) -> str:
        """It must say something of a drawn picture; whether that is right is the model's own affair."""
        from PIL import Image, ImageDraw

        drawn = Image.new("RGB", (64, 64), (235, 235, 235))
        ImageDraw.Draw(drawn).ellipse((16, 16, 47, 47), fill=(220, 25, 30))
        questions = {"1": "Is there a red circle?"}
        (found,) = self.observe([Look({"questions": questions}, image=Picture.from_pil(drawn))])
        if isinstance(found, Failure):
            raise UserError(f"asked about a drawn picture: {found.reason}")
        return "an answer about a drawn picture"

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        """Questions about one picture are asked together, so that it is read once."""
        asked = [
            (place, key, Question(RequestKey("visual_qa", str(place)), text, (look.image,), ANSWER_TOKENS))
            for place, look in enumerate(looks)
            if look.image is not None
            for key, text in cast(dict[str, str], look.query["questions"]).items()
        ]
        try:
            said = self._model.answer([question for _, _, question in asked]) if asked else []
        except (HaltError, Interrupted) as stop:
            stop.outcomes = ()  # they answer questions, and a look has several
            raise
        answers: list[dict[str, JSON]] = [{} for _ in looks]
        failures: dict[int, Failure] = {
            place: Failure("there is no picture to look at") for place, look in enumerate(looks) if look.image is None
        }
        for (place, key, _), response in zip(asked, said, strict=True):
            if isinstance(response, Response) and response.text is not None:
                answers[place][key] = first_word(response.text)
            else:
                reason = response.reason if isinstance(response, Failure) else "the model gave no text"
                failures.setdefault(place, Failure(f"question {key}: {reason}"))
        return [failures.get(place) or Observation({"answers": answers[place]}) for place in range(len(looks))]


def first_word(text: str) -> str:
    """``yes`` or ``no`` where an answer begins so, else the answer in small letters without space around it."""
    found = _FIRST_WORD.match(text)
    return found[1].lower() if found else text.strip().lower()
