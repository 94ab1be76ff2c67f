"""A model of the shapes world that errs by its requests' seeds, always alike: between floor and ceiling.

It has a taste for the letter A, talks now and then, and draws something else or scratches what it drew. Spoken to with
another role than its own it errs more often. And what tests do with its runs.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import ImageDraw
from pydantic import BaseModel

from janus_eval import evaluation, plan, runner
from janus_eval.explaining.knobs import ABSENT, Value
from janus_eval.explaining.records import Gap
from janus_eval.observe import Instruments
from janus_eval.pictures import Picture
from janus_eval.plan import Choice
from janus_eval.progress import Silent
from janus_eval.runner import Options
from janus_eval.tasks.shapes.oracle import ShapesDetector
from janus_eval.tasks.shapes.reference_models import Oracle
from janus_eval.types import Drawing, Failure, Look, Observation, Question, Response

LIMIT = 3
"""Groups of each category."""


def plugins() -> dict[str, dict[str, str]]:
    return {"instruments": {"squint": ":Squint"}}


class Squint(ShapesDetector):
    """Sees what the world's detector sees and is less sure of it; how much less is its version."""

    doubt = 0.5

    @property
    def version(self) -> str:
        return f"doubt {self.doubt}"

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        return [self._doubting(found) for found in super().observe(looks)]

    def _doubting(self, found: Observation | Failure) -> Observation | Failure:
        if isinstance(found, Failure):
            return found
        boxes: Any = found.data["boxes"]
        doubted = {name: [[*box[:4], box[4] * (1 - self.doubt)] for box in table] for name, table in boxes.items()}
        return Observation({**found.data, "boxes": doubted})


class Settings(BaseModel):
    user_role: str = "<|User|>"
    guidance: float = 5.0


class Clumsy:
    name = "clumsy"
    weights = "clumsy 1"

    def __init__(self, *, broken: str = "", **settings: object) -> None:
        self.settings = Settings.model_validate(settings)
        self.broken = broken
        """A request whose text contains this fails."""

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        return [self._answer(question) for question in questions]

    def _answer(self, question: Question) -> Response | Failure:
        if self.broken and self.broken in question.text:
            return Failure("it breaks here")
        chance = random.Random(question.seed).random() / self._skill
        [right] = Oracle().answer([question])
        assert isinstance(right, Response) and right.text is not None
        if chance < 0.35:
            return right
        # The same in words, which VLMEvalKit's rule reads and lmms-eval's does not; then a preference; then nothing.
        return Response(
            text=f"it is surely {right.text.strip()}" if chance < 0.7 else "A" if chance < 0.95 else "I see"
        )

    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        return [self._draw(drawing) for drawing in drawings]

    def _draw(self, drawing: Drawing) -> Response | Failure:
        if self.broken and self.broken in drawing.prompt:
            return Failure("it breaks here")
        chance = random.Random(drawing.seed).random() / self._skill
        prompt = drawing.prompt if chance < 0.7 else "a red circle"
        [drawn] = Oracle().draw([Drawing(drawing.key, prompt, drawing.seed)])
        if isinstance(drawn, Response) and drawn.image is not None and chance > 0.3:
            # Scratches make the detector doubt what it sees.
            image, stream = drawn.image.load().copy(), random.Random(drawing.seed)
            for _ in range(3):
                x = stream.randint(0, 60)
                ImageDraw.Draw(image).line([(x, 0), (x + stream.randint(-20, 20), 63)], fill=(235, 235, 235), width=1)
            return Response(image=Picture.from_pil(image))
        return drawn

    @property
    def _skill(self) -> float:
        return 1.0 if self.settings.user_role == "<|User|>" else 0.6


def run(out: Path, choices: Sequence[Choice], model: Any = None, *, limit: int | None = LIMIT, seed: int = 0) -> Path:
    subject = evaluation.subject_of(model or Clumsy(), device="cpu", dtype="float32")
    entries = plan.entries(choices, seed=seed, limit=limit)
    return runner.run(
        subject, entries, out, Options(seed=seed, limit=limit), instruments=Instruments(), display=Silent()
    )


def choice(spec: str, **changes: Value) -> Choice:
    """A protocol with some of its knobs turned, as ``judge__letters="lmms-eval"``."""
    [found] = plan.choices([spec])
    tables: dict[str, dict[str, Any]] = {
        "ask": dict(found.protocol.ask),
        "observe": dict(found.protocol.observe),
        "judge": dict(found.protocol.judge),
    }
    for name, value in changes.items():
        part, _, key = name.partition("__")
        if value is ABSENT:
            tables[part].pop(key, None)
        else:
            tables[part][key] = value
    return Choice(found.task, replace(found.protocol, **tables))


def headline(path: Path, spec: str) -> float:
    [chosen] = plan.choices([spec])
    results = json.loads((path / "results.json").read_text())
    value = results["tasks"][chosen.task.name][chosen.protocol.name]["metrics"]["overall"]["value"]
    assert isinstance(value, float)
    return value


def again(out: Path, spec: str, model: Any = None, **changes: Value) -> float:
    """The headline of a run from the start with these knobs set."""
    return headline(run(out, [choice(spec, **changes)], model), spec)


def score(path: Path, spec: str, **instruments: str) -> None:
    """As ``janus-eval score`` does."""
    chosen = plan.choices([spec], instruments)
    runner.rescore(path, chosen, instruments=Instruments(), options=Options(limit=LIMIT), display=Silent())


def whole(gap: Gap) -> float:
    """What the parts and the rest come to."""
    return math.fsum([*(part.by for part in gap.parts), gap.rest.by])
