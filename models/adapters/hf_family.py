"""``hf:REPO``, any image-text-to-text model of transformers: its settings, and how it is loaded. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from janus_eval.errors import UserError
from janus_eval.models.adapters.hf_files import named
from janus_eval.models.parts.settings import AnswerTokens
from janus_eval.types import Capability

if TYPE_CHECKING:
    from janus_eval.models.adapters.hf_adapter import HFModel


class HFSettings(BaseModel):
    """How a model is spoken to, through its processor's own chat template, and how it answers.

    Of the checkpoint's own generation settings only the end tokens count: its temperature, penalties and beams differ
    from model to model, and benchmarks are asked greedily.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    # Not the same: without a system message, templates such as Qwen2-VL's put one of their own.
    system_prompt: str | None = Field(None, description="the system message. None: what the template does without one")
    answer_temperature: float = Field(0.0, ge=0, description="0 is greedy")
    max_answer_tokens: AnswerTokens = 2048
    stop: tuple[str, ...] = Field((), description="texts that end an answer, and are left out of it")
    max_images: Annotated[int, Field(ge=1)] | None = Field(None, description="a question with more fails")
    max_pixels: Annotated[int, Field(ge=256)] | None = Field(
        None, description="an image with more is scaled down to so many before the processor sees it"
    )
    attention: Literal["eager", "sdpa", "flash_attention_2"] | None = Field(
        None, description="implementation of attention. None: transformers' choice"
    )
    name: str = Field("", exclude=True, description="what reports call it. Empty: the repository's or folder's name")


class HFJanusSettings(HFSettings):
    """Those of drawing are the published call's, as for ``janus-pro``."""

    guidance: float = Field(5.0, description="weight of classifier-free guidance in drawing")
    temperature: float = Field(1.0, ge=0, description="of drawing; 0 is greedy")


@dataclass(frozen=True)
class HFFamily:
    """Answers and ranks."""

    Settings: type[BaseModel] = HFSettings
    capabilities: frozenset[Capability] = frozenset({"answer", "score"})

    def named(self, checkpoint: str | None, settings: HFSettings) -> str:
        """As its repository or folder is called, without the publisher, unless a setting says otherwise."""
        return settings.name or named(checkpoint, "hf")

    def load(self, checkpoint: str | None, settings: Any, *, device: str = "cpu", dtype: str = "float32") -> HFModel:
        """A folder or hub id in transformers' format. Raises UserError for what can't be used."""
        if checkpoint is None:
            raise UserError("model 'hf' needs a folder or Hugging Face id: hf:llava-hf/llava-1.5-7b-hf")
        from janus_eval.models.adapters.hf_adapter import load

        return load(checkpoint, settings, device=device, dtype=dtype)


@dataclass(frozen=True)
class HFJanusFamily(HFFamily):
    """transformers' Janus, which draws as well."""

    Settings: type[BaseModel] = HFJanusSettings
    capabilities: frozenset[Capability] = frozenset({"answer", "score", "draw"})

    def load(self, checkpoint: str | None, settings: Any, *, device: str = "cpu", dtype: str = "float32") -> HFModel:
        """A folder or hub id in transformers' format. Raises UserError for what can't be used, or is no Janus."""
        if checkpoint is None:
            raise UserError(
                "model 'hf-janus' needs a folder or Hugging Face id: hf-janus:deepseek-community/Janus-Pro-1B"
            )
        from janus_eval.models.adapters.hf_janus import load

        return load(checkpoint, settings, device=device, dtype=dtype)


hf = HFFamily()
hf_janus = HFJanusFamily()
