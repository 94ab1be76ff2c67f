"""``openai:MODEL[@URL]``: a model behind an OpenAI-compatible server, as its settings and what it can do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from janus_eval.endpoints import KEY, MODEL_AT_URL
from janus_eval.errors import UserError
from janus_eval.plain import one_line
from janus_eval.types import Capability

if TYPE_CHECKING:
    from janus_eval.models.adapters.openai_model import OpenAIModel

DRAWING = ("dall-e", "image", "imagen")
"""What stands in the names of models that draw; ``can`` says it where they don't."""


def _own(**bounds: Any) -> Any:
    """A setting of the way to the server: it can't move a number, so no record of a run has it."""
    return Field(exclude=True, **bounds)


class OpenAISettings(BaseModel):
    """What is sent with each request, and below it how the server is dealt with."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    can: Literal["auto", "answer", "draw", "both"] = Field("auto", description="what the model does; auto: by its name")
    system_prompt: str | None = Field(None, description="the system message. None: none is sent")
    answer_temperature: float | None = Field(0.0, ge=0, le=2, description="None: none is sent, as some models demand")
    answer_tokens: int | None = Field(
        None, ge=1, description="in place of what a benchmark allows: a model's hidden reasoning counts as output"
    )
    tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    image_detail: Literal["auto", "low", "high"] | None = Field(None, description="None: none is sent")
    image_format: Literal["as-is", "png", "jpeg"] = Field("as-is", description="in which pictures are sent")
    seed: Literal["auto", "send", "omit"] = Field(
        "auto", description="auto: sent with questions; OpenAI's own models that draw take none"
    )
    size: str | None = Field(
        None, pattern=r"^(auto|[1-9]\d{0,4}x[1-9]\d{0,4})$", description="WIDTHxHEIGHT to draw. None: the server's own"
    )
    quality: str | None = None
    style: str | None = None
    response_format: Literal["auto", "b64_json", "omit"] = Field("auto", description="auto: b64_json from DALL-E")
    extra: dict[str, Any] = Field({}, description="further fields of every request, as JSON")

    @field_validator("extra")
    @classmethod
    def _sound(cls, extra: dict[str, Any]) -> dict[str, Any]:
        json.dumps(extra, allow_nan=False)  # raises ValueError for what no record could hold
        return extra

    name: str = _own(default="", description="what reports call it. Empty: the model's name")
    key_env: str = _own(default=KEY, description="the environment variable that holds the key")
    concurrency: int = _own(default=8, ge=1, le=256, description="requests at once")
    per_minute: float = _own(default=0.0, ge=0, description="requests a minute at most. 0: no limit")
    tries: int = _own(default=6, ge=1, le=20, description="of one request")
    pause: float = _own(default=1.0, ge=0, description="seconds before the second try, doubled before each further one")
    timeout: float = _own(default=300.0, gt=0, description="seconds for a whole reply")
    silence: float = _own(default=120.0, gt=0, description="seconds for a reply's next bytes")
    price_input: float | None = _own(default=None, ge=0, description="of a million tokens in")
    price_output: float | None = _own(default=None, ge=0, description="of a million tokens out")
    price_image: float | None = _own(default=None, ge=0, description="of a drawn picture")
    currency: str = _own(default="USD", pattern=r"^\S{1,8}$")
    budget: float | None = _own(default=None, gt=0, description="what one command may cost")
    image_tokens: int | None = _own(default=None, ge=0, description="of a picture in a question, for estimates alone")


class OpenAIFamily:
    capabilities: frozenset[Capability] = frozenset({"answer", "draw"})
    paid = True
    Settings: type[BaseModel] = OpenAISettings

    def named(self, checkpoint: str | None, settings: Any) -> str:
        """The model's own name, without the organisation, unless a setting says otherwise."""
        return settings.name or parsed(checkpoint)[0].rpartition("/")[2]

    def able(self, checkpoint: str | None, settings: Any) -> frozenset[Capability]:
        """By the model's name: those that draw don't answer, and none gives likelihoods."""
        if settings.can == "auto":
            name = parsed(checkpoint)[0].lower()
            return frozenset({"draw" if any(part in name for part in DRAWING) else "answer"})
        both: frozenset[Capability] = frozenset({"answer", "draw"})
        return both if settings.can == "both" else frozenset({settings.can})

    def load(
        self, checkpoint: str | None, settings: Any, *, device: str = "cpu", dtype: str = "float32"
    ) -> OpenAIModel:
        """Nothing is asked yet. Raises UserError for an address or a name that is none, and for a budget no price."""
        from janus_eval.models.adapters.openai_model import OpenAIModel

        model, url = parsed(checkpoint)
        return OpenAIModel(model, url, settings, answers="answer" in self.able(checkpoint, settings))


def parsed(checkpoint: str | None) -> tuple[str, str]:
    """Model and URL, which may be empty. Raises UserError for what is not ``MODEL[@URL]``."""
    match = MODEL_AT_URL.fullmatch(checkpoint or "")
    if match is None or (checkpoint or "").startswith("@"):
        told = one_line((checkpoint or "").partition("://")[0], 200)  # what comes behind may be a password
        raise UserError(f"model 'openai:{told}': expected openai:MODEL[@URL], as openai:gpt-4o@https://HOST/v1")
    return match["model"], match["url"] or ""


openai = OpenAIFamily()
