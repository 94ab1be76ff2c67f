"""A model that gives back every picture as it is: what instruments find in these is a tokenizer's ceiling."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict

from janus_eval.errors import UserError
from janus_eval.pictures import Picture
from janus_eval.types import Capability, Failure


class NoSettings(BaseModel):
    """There is nothing to set."""

    model_config = ConfigDict(extra="forbid")


class Unchanged:
    weights = "unchanged 1"

    def reconstruct(self, images: Sequence[Picture]) -> list[Picture | Failure]:
        return list(images)


class Family:
    """The model as a family: nothing to load."""

    capabilities = frozenset[Capability]({"reconstruct"})
    Settings = NoSettings

    def load(
        self, checkpoint: str | None, settings: NoSettings, *, device: str = "cpu", dtype: str = "float32"
    ) -> Unchanged:
        if checkpoint is not None:
            raise UserError(f"model 'unchanged' has no checkpoints, got {checkpoint!r}: ask for 'unchanged' alone")
        return Unchanged()


unchanged = Family()
