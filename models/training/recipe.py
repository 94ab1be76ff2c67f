"""Recipes: everything that decides what a training run gives, as data. Unknown keys are errors."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from janus_eval.errors import UserError


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Optimizer(Part):
    """AdamW, as Table 2 of the Janus-Pro report has it."""

    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = 0.0
    grad_clip: float = 1.0


class Schedule(Part):
    """Linear warm-up to ``lr``, then constant, or falling to ``final`` times ``lr`` along a cosine or a line."""

    lr: float = Field(gt=0)
    warmup_steps: int = Field(0, ge=0)
    shape: Literal["constant", "cosine", "linear"] = "constant"
    final: float = Field(0.0, ge=0, le=1)


class TokenizerStage(Part):
    """Training of the VQ tokenizer, for models that have no published one to start from."""

    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    schedule: Schedule
    quantize_from: int = Field(0, ge=0)
    """First step that rounds latents to codes. Before it the encoder and decoder learn without; then the codebook is
    filled with their latents. Rounding from the start, a codebook of random vectors can collapse to a single code."""
    commitment: float = 0.25
    l1: float = 1.0
    l2: float = 1.0
    revive_every: int = Field(40, gt=0)
    revive_at_most: int = Field(48, ge=0)
    revive_until: float = Field(0.6, ge=0, le=1)
    foreground: float = 0.05
    """Standard deviation (of pixels in [-1, 1]) above which a patch counts as foreground: unused codes are replaced by
    latents of such patches only, since a codebook fed with flat ground collapses onto it."""


class VisionStage(Part):
    """Training of the understanding encoder to name what each patch shows, where there is none to start from."""

    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    schedule: Schedule


class VAEStage(Part):
    """Training of the autoencoder between pixels and latents, for models that have no published one to start from."""

    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    schedule: Schedule
    config: dict[str, Any]
    """Of diffusers' AutoencoderKL; ``scaling_factor`` is measured at the end, so that latents have variance 1."""
    l1: float = 1.0
    l2: float = 1.0
    kl: float = 1e-4


class Flow(Part):
    """What the loss of drawing by rectified flow leaves open (JanusFlow, section 3.2 and Table 1)."""

    time_mean: float = 0.0
    time_std: Annotated[float, Field(gt=0)] = 1.0
    """Times are logistic functions of normal numbers, as Stable Diffusion 3's; their parameters are not published."""
    align_layer: Annotated[int, Field(ge=1)] = 6
    """The decoder's block after which features are aligned with the understanding encoder's."""
    align_weight: Annotated[float, Field(ge=0)] = 1.0
    """The paper adds the alignment to the flow's loss and gives no weight."""
    average: Annotated[float, Field(ge=0, lt=1)] = 0.99
    """Ratio of the moving average of weights, which is what is saved."""


class Opening(Part):
    """Another mixture for the first steps of a stage."""

    steps: int = Field(gt=0)
    ratio: tuple[float, float, float]


class Stage(Part):
    """One of the paper's stages. ``trainable`` lists module names of the model; all else is frozen."""

    name: str
    steps: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    schedule: Schedule
    ratio: tuple[float, float, float]
    """Understanding : text : generation, mixed within every step."""
    opening: Opening | None = None
    loss_weights: tuple[float, float, float] | None = None
    """Of this stage alone; None takes the recipe's."""
    flow: dict[str, float] = {}
    """What of the recipe's flow is another in this stage."""
    trainable: tuple[str, ...]
    weight_decay: float | None = None
    """Of this stage alone; None takes the optimizer's."""
    conversation: Literal["described", "asked"] = "asked"
    """How the world of shapes talks about its pictures; other data has its own way."""
    rates: dict[str, float] = {}
    """Factors on the learning rate of single modules; each is one of ``trainable``."""
    stop_early: int | None = Field(None, gt=0)
    """Steps after which the stage ends though its schedule is made for ``steps``."""

    @property
    def last_step(self) -> int:
        return min(self.steps, self.stop_early or self.steps)

    @model_validator(mode="after")
    def _rates_of_trained(self) -> Stage:
        strangers = [name for name, factor in self.rates.items() if name not in self.trainable or factor <= 0]
        if strangers:
            raise ValueError(f"rates {', '.join(strangers)}: a positive factor for one of trainable is expected")
        return self

    def ratio_at(self, step: int) -> tuple[float, float, float]:
        """The mixture of one step."""
        return self.opening.ratio if self.opening is not None and step < self.opening.steps else self.ratio

    @model_validator(mode="after")
    def _some_data(self) -> Stage:
        for ratio in (self.ratio, self.ratio_at(0)):
            if min(ratio) < 0 or sum(ratio) <= 0:
                raise ValueError(f"ratio {ratio}: three numbers, none negative, not all 0")
        return self


class Recipe(Part):
    name: str
    note: str
    seed: int = 0
    model: dict[str, Any]
    """The model's config.json."""
    roles: tuple[str, str] = ("<|User|>", "<|Assistant|>")
    system_prompt: str = ""
    text_drop: float = Field(0.1, ge=0, le=1)
    loss_weights: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Weights of the mean losses of understanding, text and generation."""
    optimizer: Optimizer = Optimizer()
    tokenizer_stage: TokenizerStage | None = None
    vae_stage: VAEStage | None = None
    vae: str | None = None
    """Autoencoder of a JanusFlow without ``vae_stage``: folder or hub id. None: the start's own, else SDXL's."""
    flow: Flow = Flow()
    """Of JanusFlow alone."""
    vision_stage: VisionStage | None = None
    stages: tuple[Stage, ...] = Field(min_length=1)
    save_dtype: Literal["float32", "float16", "bfloat16"] = "bfloat16"
    start: str | None = None
    """Checkpoint to start from: folder or hub id. None: random weights, or the tokenizer stage's."""
    parts: str | None = None
    """Checkpoint whose tokenizer, language model and understanding encoder stand for the pre-trained ones that a
    JanusFlow begins with; ``nano-janus-pro`` is the embedded one. All else starts from random weights."""

    @property
    def draws_by_flow(self) -> bool:
        """Whether the model is a JanusFlow."""
        return "vision_gen_enc_config" in self.model

    def flow_in(self, stage: Stage) -> Flow:
        return Flow.model_validate({**self.flow.model_dump(), **stage.flow})

    @model_validator(mode="after")
    def _known_flow(self) -> Recipe:
        for stage in self.stages:
            self.flow_in(stage)
        return self


def builtin_recipes() -> list[str]:
    folder = resources.files("janus_eval.models.training") / "recipes"
    return sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))


def load_recipe(name: str) -> Recipe:
    """A built-in recipe by name, or a JSON file. Raises UserError for unknown names and malformed recipes."""
    path = Path(name)
    if path.suffix == ".json":
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"recipe {name}: {error.strerror or error}") from None
    elif name in builtin_recipes():
        text = (resources.files("janus_eval.models.training") / "recipes" / f"{name}.json").read_text("utf-8")
    else:
        raise UserError(f"no recipe {name!r}; built in: {', '.join(builtin_recipes())}; or give a .json file")
    try:
        return Recipe.model_validate(json.loads(text))
    except json.JSONDecodeError as error:
        raise UserError(f"recipe {name}: not JSON ({error})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"recipe {name}: {where}: {first['msg']}") from None
