"""A model in thirty lines: it names the colour in the middle of a picture, and draws a sheet of the colour it reads."""

from collections.abc import Sequence

import numpy as np
from PIL import Image
from pydantic import BaseModel, Field

from janus_eval.pictures import Picture
from janus_eval.types import Capability, Drawing, Question, Response

COLOURS = {"red": (220, 30, 30), "green": (40, 160, 40), "blue": (40, 60, 220), "yellow": (240, 210, 30)}


def plugins() -> dict[str, dict[str, str]]:
    return {"models": {"one-colour": ":Family | names a colour, draws a sheet of it"}}


class Options(BaseModel):
    side: int = Field(64, ge=8, description="pixels of a drawing's side")


class Family:
    capabilities = frozenset[Capability]({"answer", "draw"})
    Settings = Options

    def load(self, checkpoint: str | None, settings: Options, *, device: str, dtype: str) -> "OneColour":
        return OneColour(settings)


class OneColour:
    weights = "one-colour 1"

    def __init__(self, settings: Options) -> None:
        self.settings = settings

    def answer(self, questions: Sequence[Question]) -> list[Response]:
        return [Response(text=nearest(question.images[0].load())) for question in questions]

    def draw(self, drawings: Sequence[Drawing]) -> list[Response]:
        names = [next((name for name in COLOURS if name in drawing.prompt), "blue") for drawing in drawings]
        sheets = [Image.new("RGB", (self.settings.side, self.settings.side), COLOURS[name]) for name in names]
        return [Response(image=Picture.from_pil(sheet)) for sheet in sheets]


def nearest(image: Image.Image) -> str:
    middle = np.asarray(image)[image.height // 2, image.width // 2].astype(int)
    return min(COLOURS, key=lambda name: int(abs(middle - COLOURS[name]).sum()))
