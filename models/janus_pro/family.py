"""The Janus-Pro family for the harness: names, settings, and how a checkpoint is loaded. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

from janus_eval.models.parts.settings import ReadingSettings
from janus_eval.types import Capability

if TYPE_CHECKING:
    from janus_eval.models.janus_pro.adapter import JanusProModel


Guidance = Annotated[float, Field(description="weight of classifier-free guidance in drawing")]
Temperature = Annotated[float, Field(ge=0, description="of drawing; 0 is greedy")]


class JanusProSettings(ReadingSettings):
    """What belongs to the model rather than to a benchmark. Every field can move a number."""

    # The strings themselves matter: with Janus-1.3B's roles, which the published generation script still has,
    # Janus-Pro-1B loses some 12 points on GenEval's two objects (deepseek-ai/Janus, thread 210).
    user_role: str = "<|User|>"
    assistant_role: str = "<|Assistant|>"
    guidance: Guidance = 5.0
    temperature: Temperature = 1.0


class JanusSettings(JanusProSettings):
    """Janus-1.3B: the same architecture, trained with other role strings."""

    user_role: str = "User"
    assistant_role: str = "Assistant"


@dataclass(frozen=True)
class JanusProFamily:
    """``default`` is the checkpoint that is loaded when none is named."""

    default: str
    Settings: type[BaseModel] = JanusProSettings
    capabilities: frozenset[Capability] = frozenset({"answer", "score", "draw", "reconstruct"})

    def load(
        self, checkpoint: str | None, settings: Any, *, device: str = "cpu", dtype: str = "float32"
    ) -> JanusProModel:
        """A folder or hub id in DeepSeek's or transformers' format. Raises UserError for what can't be used."""
        from janus_eval.models.janus_pro.adapter import load

        return load(checkpoint or self.default, settings, device=device, dtype=dtype)


janus_pro = JanusProFamily("deepseek-ai/Janus-Pro-1B")
janus = JanusProFamily("deepseek-ai/Janus-1.3B", JanusSettings)
