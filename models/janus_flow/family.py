"""The JanusFlow family for the harness: settings, and how a checkpoint is loaded. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

from janus_eval.models.parts.settings import ReadingSettings
from janus_eval.types import Capability

if TYPE_CHECKING:
    from janus_eval.models.janus_flow.adapter import JanusFlowModel

FlowGuidance = Annotated[float, Field(description="w of w * conditional + (1 - w) * unconditional velocity")]
Steps = Annotated[int, Field(ge=1, le=100_000, description="Euler steps of drawing")]


class JanusFlowSettings(ReadingSettings):
    """What belongs to the model rather than to a benchmark. Every field can move a number.

    Guidance 2 and 30 steps are those of the paper's FID and of the published call; the published function's own
    default is 5, and what GenEval and DPG-Bench were drawn with is stated nowhere.
    """

    user_role: str = "User"
    assistant_role: str = "Assistant"
    guidance: FlowGuidance = 2.0
    steps: Steps = 30
    vae: str | None = Field(
        None, description="folder or hub id of the autoencoder. None: the checkpoint's folder vae, else SDXL's"
    )


@dataclass(frozen=True)
class JanusFlowFamily:
    """``default`` is the checkpoint that is loaded when none is named."""

    default: str
    Settings: type[BaseModel] = JanusFlowSettings
    capabilities: frozenset[Capability] = frozenset({"answer", "score", "draw", "reconstruct"})

    def load(
        self, checkpoint: str | None, settings: Any, *, device: str = "cpu", dtype: str = "float32"
    ) -> JanusFlowModel:
        """A folder or hub id in DeepSeek's format. Raises UserError for what can't be used."""
        from janus_eval.models.janus_flow.adapter import load

        return load(checkpoint or self.default, settings, device=device, dtype=dtype)


janus_flow = JanusFlowFamily("deepseek-ai/JanusFlow-1.3B")
