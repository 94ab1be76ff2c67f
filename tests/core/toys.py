"""A toy world as a plugin: a model whose answers follow from its requests alone, two tasks, two instruments.

``--plugin tests/core/toys.py`` brings it in. What it does wrong on request is set by its options; TOY_SLOW seconds pass
a batch, and the file TOY_LOG gets a line a request that the model was asked and a look that an eye took.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from janus_eval.pictures import Picture
from janus_eval.seams import Metric, Seeds
from janus_eval.statistics import category_mean, grouped_mean, proportion
from janus_eval.suites import Suite
from janus_eval.types import (
    JSON,
    Capability,
    Drawing,
    Failure,
    Look,
    Observation,
    Protocol,
    Question,
    Request,
    RequestKey,
    Response,
    Sample,
    Score,
)

COLOURS = ("red", "green", "blue", "grey")


def plugins() -> dict[str, dict[str, str]]:
    return {
        "models": {"toy": ":ToyFamily | answers and draws by hash", "mute": ":MuteFamily", "fixed": ":FixedFamily"},
        "tasks": {"toy-ask": ":ToyAsk", "toy-draw": ":ToyDraw", "toy-big": ":ToyBig"},
        "instruments": {"eye": ":Eye", "second-eye": ":SecondEye", "needs-extra": ":Eye [geneval]"},
        "suites": {"toys": ":suite"},
        "commands": {"toy-command": ":command | A command of the toys."},
    }


def suite() -> Suite:
    return Suite("toys", ("toy-ask", "toy-draw"), ("toy",))


def command(times: int = 1) -> None:
    """Say hello."""
    print("hello " * times)


class ToySettings(BaseModel):
    model_config = ConfigDict(extra="forbid")

    skill: float = Field(0.7, ge=0, le=1)
    role: str | None = "user"
    memory: int = 0
    """A batch of more than this many runs out of memory; 0 for no end of it."""
    broken: str = ""
    """A request whose text contains this raises."""


class Toy:
    def __init__(self, settings: ToySettings, weights: str = "toy-1") -> None:
        self.settings = settings
        self.weights = weights
        self.batches: list[int] = []

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        self._before(questions, [question.text for question in questions])
        return [
            Response(text="yes" if self._able(question.text, question.seed) else "no", output_tokens=1)
            for question in questions
        ]

    def score(
        self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]
    ) -> list[list[float] | Failure]:
        return [[-1.0 for _ in row] for row in continuations]

    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        self._before(drawings, [drawing.prompt for drawing in drawings])
        colours = [drawing.prompt if self._able(drawing.prompt, drawing.seed) else "black" for drawing in drawings]
        return [Response(image=Picture.from_pil(Image.new("RGB", (8, 8), colour))) for colour in colours]

    def _able(self, text: str, seed: int) -> bool:
        """Whether this request comes out right: by chance, but always the same."""
        digest = hashlib.sha256(f"{text} {seed}".encode()).digest()
        return int.from_bytes(digest[:4], "big") / 2**32 < self.settings.skill

    def _before(self, requests: Sequence[Request], texts: Sequence[str]) -> None:
        self.batches.append(len(requests))
        if self.settings.memory and len(requests) > self.settings.memory:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
        for text in texts:
            if self.settings.broken and self.settings.broken in text:
                raise KeyError(f"cannot do {text}")
        slowly([f"{request.key} {request.id}" for request in requests])


def slowly(lines: Sequence[str]) -> None:
    """Take the time and leave the traces that tests of killed runs need."""
    time.sleep(float(os.environ.get("TOY_SLOW", "0")))
    if log := os.environ.get("TOY_LOG"):
        with Path(log).open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))


class ToyFamily:
    capabilities: frozenset[Capability] = frozenset({"answer", "score", "draw"})
    Settings: type[BaseModel] = ToySettings

    def load(self, checkpoint: str | None, settings: Any, *, device: str = "cpu", dtype: str = "float32") -> Toy:
        return Toy(settings, weights=checkpoint or "toy-1")


class MuteFamily:
    """Can do nothing."""

    capabilities: frozenset[Capability] = frozenset()
    Settings = ToySettings
    load = ToyFamily.load


class FixedSettings(BaseModel):
    """No option at all."""


class FixedFamily(ToyFamily):
    """Always right, and not to be told otherwise."""

    Settings: type[BaseModel] = FixedSettings

    def load(self, checkpoint: str | None, settings: Any, *, device: str = "cpu", dtype: str = "float32") -> Toy:
        return Toy(ToySettings(skill=1), weights="fixed")


class ToyAsk:
    """Twelve pictures, four questions about each; strict counts only pictures with four right answers."""

    name = "toy-ask"
    title = "Toy questions"
    needs: frozenset[Capability] = frozenset({"answer"})
    groups = 12
    protocols: Mapping[str, Protocol] = {
        "plain": Protocol("plain", ask={"template": "{}?"}, judge={"right": "yes"}),
        "contrary": Protocol("contrary", ask={"template": "{}?"}, judge={"right": "no"}, note="no is right"),
        "shouted": Protocol("shouted", ask={"template": "{}!"}, judge={"right": "yes"}),
    }

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return [
            Sample(
                f"{group}.{rotation}",
                {"text": f"picture {group} turned {rotation}", "pair": (1, 2)},  # type: ignore[dict-item]
                {"answer": "yes"},
                group=f"g{group}",
                category="odd" if group % 2 else "even",
                images=(Picture.from_pil(Image.new("RGB", (4, 4), (group, 0, 0))),),
                metadata={"rotation": rotation},
            )
            for rotation in range(4)
            for group in range(self.groups)
        ]

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        text = str(ask["template"]).format(sample.inputs["text"])
        return [Question(RequestKey(self.name, sample.id), text, sample.images, seed=seeds(sample.id, 0))]

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON] | None:
        return None

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        assert isinstance(sample.inputs["pair"], list), "scoring and re-scoring see the sample as it is stored"
        return Score(float(response.text == judge["right"]), extracted=response.text)

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        return {"overall": grouped_mean, "alone": proportion}


class ToyBig(ToyAsk):
    name = "toy-big"
    groups = 60


class ToyDraw:
    """Five colours, three pictures each; an eye names the colour, a second one doubts it."""

    name = "toy-draw"
    title = "Toy pictures"
    needs: frozenset[Capability] = frozenset({"draw"})
    protocols: Mapping[str, Protocol] = {
        "one-eye": Protocol("one-eye", ask={"images": 3}, observe={"detector": "eye"}, judge={}),
        "two-eyes": Protocol(
            "two-eyes", ask={"images": 3}, observe={"detector": "eye", "colour_classifier": "second-eye"}, judge={}
        ),
        "needy": Protocol("needy", ask={"images": 3}, observe={"detector": "needs-extra"}, judge={}),
    }

    def samples(self, ask: Mapping[str, JSON]) -> Sequence[Sample]:
        return [Sample(f"../{colour}/", {}, {"colour": colour}, colour, "colours") for colour in COLOURS]

    def requests(self, sample: Sample, ask: Mapping[str, JSON], seeds: Seeds) -> Sequence[Request]:
        images = ask["images"]
        assert isinstance(images, int)
        return [
            Drawing(RequestKey(self.name, sample.id, k), str(sample.target["colour"]), seeds(sample.id, k))
            for k in range(images)
        ]

    def query(self, role: str, sample: Sample, index: int) -> Mapping[str, JSON] | None:
        return {"classes": list(COLOURS)}

    def score(
        self,
        sample: Sample,
        index: int,
        response: Response,
        observations: Mapping[str, Mapping[str, JSON]],
        judge: Mapping[str, JSON],
    ) -> Score:
        seen = observations["detector"]["colour"]
        return Score(float(seen == sample.target["colour"]), extracted=seen)

    def metrics(self, judge: Mapping[str, JSON]) -> Mapping[str, Metric]:
        return {"overall": category_mean}


class Eye:
    kind = "detector"
    version = "1"
    looks = 0

    def observe(self, looks: Sequence[Look]) -> list[Observation | Failure]:
        type(self).looks += len(looks)
        slowly(["look"] * len(looks))
        return [self.see(look) for look in looks]

    def see(self, look: Look) -> Observation | Failure:
        assert look.image is not None
        pixel = look.image.load().getpixel((0, 0))
        names = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "grey": (128, 128, 128)}
        return Observation({"colour": next((name for name, value in names.items() if value == pixel), None)})

    def self_test(self) -> str:
        return "nothing to compare"


class SecondEye(Eye):
    kind = "colour_classifier"

    def see(self, look: Look) -> Observation | Failure:
        seen = look.earlier["detector"]["colour"]
        return Failure("too dark") if seen is None else Observation({"colour": seen})
