"""A model that draws. Its checkpoint is a name; its one setting moves the result."""

from __future__ import annotations

import random
from collections.abc import Sequence

from PIL import Image
from pydantic import BaseModel, Field

from janus_eval.pictures import Picture
from janus_eval.types import Capability, Drawing, Failure, Response
from tints.colours import TINTS


class Settings(BaseModel):
    skill: float = Field(0.5, ge=0, le=1, description="share of drawings that come out in the right tint")


class Painter:
    capabilities = frozenset[Capability]({"draw"})
    Settings = Settings

    def load(self, checkpoint: str | None, settings: Settings, *, device: str, dtype: str) -> Brush:
        return Brush(settings, checkpoint or "brush")


class Brush:
    def __init__(self, settings: Settings, weights: str) -> None:
        self.settings, self.weights = settings, weights

    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        return [self._draw(drawing) for drawing in drawings]

    def _draw(self, drawing: Drawing) -> Response | Failure:
        tint = next((name for name in TINTS if name in drawing.prompt), None)
        if tint is None:
            return Failure(f"no tint in {drawing.prompt!r}")
        chance = random.Random(drawing.seed)  # from the request's own seed: never from its place in a batch
        colour = TINTS[tint] if chance.random() < self.settings.skill else (0, 0, 0)
        height, width = drawing.size or (32, 32)
        return Response(image=Picture.from_pil(Image.new("RGB", (width, height), colour)))
