"""Settings of reading that every family has. Imports no torch."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

# Bounds stand in the types, so that a family with other defaults keeps them.
AnswerTokens = Annotated[int, Field(ge=1, description="upper limit, whatever a benchmark asks for")]


class ReadingSettings(BaseModel):
    """How a model is spoken to and how it answers. Every field can move a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    user_role: str
    assistant_role: str
    system_prompt: str = Field(
        "",
        description="put before questions. Empty, as in VLMEvalKit's adapter, with which the authors' figures were "
        "reproduced; the published processor's own is a sentence about a helpful assistant",
    )
    answer_temperature: float = Field(0.0, ge=0, description="0 is greedy")
    max_answer_tokens: AnswerTokens = 2048
