"""``diffusers:REPO``, any text-to-image pipeline of diffusers: its settings, and how it is loaded. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from janus_eval.errors import UserError
from janus_eval.models.adapters.hf_files import named
from janus_eval.types import Capability

if TYPE_CHECKING:
    from janus_eval.models.adapters.diffusers_adapter import Pipeline


class DiffusersSettings(BaseModel):
    """None everywhere stands for what the pipeline itself does, which is what its makers print figures of."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    guidance: float | None = Field(None, description="guidance_scale of the call")
    steps: Annotated[int, Field(ge=1, le=10_000)] | None = Field(None, description="num_inference_steps of the call")
    # One setting, since pipelines pass over a height without a width.
    size: str | None = Field(
        None,
        pattern=r"^[1-9]\d{0,4}x[1-9]\d{0,4}$",
        description="WIDTHxHEIGHT in pixels, where a benchmark asks for none",
    )
    # Not the same to every pipeline: SDXL encodes an empty text and replaces a missing one by zeros.
    negative_prompt: str | None = Field(None, description="None is not the empty text: SDXL tells them apart")
    scheduler: str | None = Field(None, description="a scheduler class of diffusers instead of the pipeline's own")
    variant: str | None = Field(None, description="of the weights' files, such as fp16")
    safety_checker: bool = Field(True, description="keep the pipeline's own, if any; what it refuses is a failure")
    call: dict[str, bool | int | float | str] = Field(
        {}, description='further arguments of the call, such as {"max_sequence_length": 512}'
    )
    name: str = Field("", exclude=True, description="what reports call it. Empty: the repository's or folder's name")


@dataclass(frozen=True)
class DiffusersFamily:
    """Draws; and nothing else."""

    Settings: type[BaseModel] = DiffusersSettings
    capabilities: frozenset[Capability] = frozenset({"draw"})

    def named(self, checkpoint: str | None, settings: DiffusersSettings) -> str:
        """As its repository or folder is called, without the publisher, unless a setting says otherwise."""
        return settings.name or named(checkpoint, "diffusers")

    def load(self, checkpoint: str | None, settings: Any, *, device: str = "cpu", dtype: str = "float32") -> Pipeline:
        """A folder or hub id with ``model_index.json``. Raises UserError for what can't be used."""
        if checkpoint is None:
            raise UserError(
                "model 'diffusers' needs a folder or a Hugging Face id: "
                "diffusers:stabilityai/stable-diffusion-xl-base-1.0"
            )
        from janus_eval.models.adapters.diffusers_adapter import load

        return load(checkpoint, settings, device=device, dtype=dtype)


diffusers = DiffusersFamily()
