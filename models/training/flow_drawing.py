"""How JanusFlow learns to draw: velocities of a rectified flow, and features that agree with what it reads by.

Shapes: B rows, T tokens, M tokens of a picture, N patches of the understanding encoder (as many), C latent channels,
H x W latents, E hidden size. Source: JanusFlow (arXiv 2411.07975), section 3.2 and Table 1; alignment: REPA (arXiv
2410.06940); times: Stable Diffusion 3 (arXiv 2403.03206), section 3.1.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from janus_eval.errors import UserError
from janus_eval.models.janus_flow.config import JanusFlowConfig
from janus_eval.models.janus_flow.loading import latent_side
from janus_eval.models.janus_flow.model import JanusFlow, Noised
from janus_eval.models.janus_flow.vae import VAE
from janus_eval.models.janus_flow.weights import save_checkpoint
from janus_eval.models.parts.processor import Processor, center_crop
from janus_eval.models.training.drawing import (
    drawn_pixels,
    dropped,
    examples_to_draw,
    generator,
    image_of,
    structure,
)
from janus_eval.models.training.loop import Stepper
from janus_eval.models.training.recipe import Flow, Recipe, Stage
from janus_eval.models.training.sources import Example, Source
from janus_eval.models.training.vae_stage import IMAGES_MEASURED, measured_scale, vae_step


class AlignedFlow(JanusFlow):
    """A JanusFlow in training: with the projector that alignment needs and a checkpoint has not."""

    def __init__(self, config: JanusFlowConfig) -> None:
        super().__init__(config)
        self.align = Align(config.language.hidden_size, config.vision.width)


class Align(nn.Module):
    """A multilayer perceptron of three layers from hidden states to the understanding encoder's features."""

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(hidden, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, width)])

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = F.silu(layer(x))
        y: Tensor = self.layers[-1](x)
        return y


class FlowDrawing:
    def __init__(self, recipe: Recipe, model: AlignedFlow, vae: VAE, processor: Processor, source: Source) -> None:
        config = model.config
        self.recipe, self.model, self.vae, self.processor, self.source = recipe, model, vae, processor, source
        self.tokens = structure(processor, begins=True)
        self.side = latent_side(config, vae)
        if recipe.flow.align_weight and config.gen_encoder.grid(self.side) != config.vision.grid:
            raise UserError(
                f"flow.align_weight: a picture is drawn as {config.gen_encoder.grid(self.side)} x "
                f"{config.gen_encoder.grid(self.side)} tokens and read as {config.vision.grid} x {config.vision.grid}; "
                "features can only be aligned where these agree (0 turns it off)"
            )
        if recipe.flow.align_layer > config.language.num_hidden_layers:
            raise UserError(
                f"flow.align_layer is {recipe.flow.align_layer}; the decoder has "
                f"{config.language.num_hidden_layers} blocks"
            )
        self.average: dict[str, Tensor] = {}
        self._scaled = recipe.vae_stage is None

    def stepper(self, folder: Path) -> Stepper | None:
        recipe, module = self.recipe, self.vae.module
        stage = recipe.vae_stage
        if stage is None:
            return None

        def step(index: int) -> Mapping[str, float]:
            images = self._pixels(examples_to_draw(self.source, index, stage.batch_size))
            return vae_step(module, stage, recipe.seed, index, images)

        return Stepper(
            "vae", stage.steps, stage.schedule, recipe.optimizer, module, ("all",), folder, step, stage.steps
        )

    def losses(
        self,
        stage: Stage,
        examples: Sequence[Example],
        prompts: Sequence[list[int]],
        weight: float,
        label: str,
        micro_batch: int,
    ) -> dict[str, float]:
        """Squared error of the velocity, and one minus the cosine between aligned features."""
        options = self.recipe.flow_in(stage)
        self._scale()
        lost = dropped(len(examples), self.recipe.text_drop, self.recipe.seed, label)
        shape = (self.vae.channels, self.side, self.side)
        times, noise = draw_times(len(examples), options, shape, generator(self.recipe.seed, f"{label}/flow"))
        totals = {"generation": 0.0, "alignment": 0.0}
        for chunk in range(0, len(examples), micro_batch):
            part = slice(chunk, chunk + micro_batch)
            share = len(examples[part]) / len(examples)
            velocity, alignment = self._errors(examples[part], prompts[part], lost[part], times[part], noise[part])
            (weight * share * (velocity + options.align_weight * alignment)).backward()
            totals["generation"] += share * velocity.item()
            totals["alignment"] += share * alignment.item()
        return totals

    def _errors(
        self,
        examples: Sequence[Example],
        prompts: Sequence[list[int]],
        lost: Sequence[bool],
        times: Tensor,
        noise: Tensor,
    ) -> tuple[Tensor, Tensor]:
        model, device = self.model, self.model.lm_head.weight.device
        with torch.no_grad():
            clean = self.vae.encode(self._pixels(examples))
            seen = model.vision(self._read(examples)) if self.recipe.flow.align_weight else None
        times, noise = times.to(device), noise.to(device)
        mixed = times[:, None, None, None] * clean + (1 - times[:, None, None, None]) * noise
        noised = model.embed_latents(mixed.to(model.lm_head.weight.dtype), 1000 * times)
        rows = arrange(model, prompts, lost, noised, self.processor.pad_id)
        with tapped(model.language.layers[self.recipe.flow.align_layer - 1]) as taps:
            hidden = model.language(rows.x, positions=rows.positions)
        count = noised.tokens.shape[1] - 1
        drawn = hidden[rows.drawn].unflatten(0, (-1, count))
        velocity = F.mse_loss(model.velocity(drawn, noised.skip, noised.time).float(), clean - noise)
        if seen is None:
            return velocity, velocity.new_zeros(())
        features = model.align(taps[0][rows.drawn].unflatten(0, (-1, count)))
        return velocity, 1 - F.cosine_similarity(features.float(), seen.float(), dim=-1).mean()

    def watch(self, stepper: Stepper) -> Stepper:
        """Keeps the moving average of the weights through the paper's stages, in each one's state."""
        return replace(stepper, after=self._follow, extra_state=lambda: self.average, load_extra=self._remember)

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        """The averaged weights, and the autoencoder that they were trained with in the folder ``vae``."""
        self._scale()
        with torch.device("meta"):
            plain = JanusFlow(self.model.config)
        weights = {**self.model.state_dict(), **self.average}
        plain.load_state_dict({name: weights[name] for name in plain.state_dict()}, assign=True)
        plain.tie()
        save_checkpoint(plain, folder, dtype=dtype)
        place = folder / "vae"
        place.mkdir(exist_ok=True)
        tensors = {name: value.to("cpu", dtype).contiguous() for name, value in self.vae.module.state_dict().items()}
        save_file(tensors, place / "diffusion_pytorch_model.safetensors", metadata={"format": "pt"})
        raw = {"_class_name": "AutoencoderKL", **{k: v for k, v in self.vae.module.config.items() if k[0] != "_"}}
        (place / "config.json").write_text(json.dumps(raw, indent=2) + "\n", encoding="utf-8")

    def _follow(self) -> None:
        ratio = self.recipe.flow.average
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name.startswith("align."):
                    continue
                if name not in self.average:
                    self.average[name] = parameter.detach().clone()
                elif parameter.requires_grad:
                    self.average[name].lerp_(parameter.detach(), 1 - ratio)

    def _remember(self, state: Mapping[str, Tensor]) -> None:
        self.average = {name: tensor.to(self.model.lm_head.weight.device) for name, tensor in state.items()}

    def _scale(self) -> None:
        """Once the autoencoder's own stage is over: bring its latents to variance 1."""
        if self._scaled:
            return
        images = self._pixels(examples_to_draw(self.source, 0, IMAGES_MEASURED))
        scale = measured_scale(self.vae.module, images)
        self.vae.module.register_to_config(scaling_factor=scale)
        self.vae.module.eval().requires_grad_(False)
        self._scaled = True

    def _pixels(self, examples: Sequence[Example]) -> Tensor:
        return drawn_pixels(examples, self.side * self.vae.downsampling, self.model.lm_head.weight.device)

    def _read(self, examples: Sequence[Example]) -> Tensor:
        """The same crops as the understanding encoder would be shown them."""
        size = self.side * self.vae.downsampling
        crops: list[Image.Image] = [center_crop(image_of(example), size) for example in examples]
        return self.processor.pixels(crops).to(self.model.lm_head.weight.device)


def draw_times(count: int, options: Flow, shape: tuple[int, int, int], rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """Logit-normal times ``[B]`` in (0, 1), 0 being noise, and normal noise ``[B, C, H, W]``."""
    times = torch.sigmoid(options.time_mean + options.time_std * torch.randn(count, generator=rng))
    return times, torch.randn((count, *shape), generator=rng)


class Arranged(NamedTuple):
    """Rows of a prompt, a time and a picture's tokens: ``x`` ``[B, T, E]``, ``positions`` and ``drawn`` ``[B, T]``."""

    x: Tensor
    positions: Tensor
    drawn: Tensor


def arrange(
    model: JanusFlow, prompts: Sequence[list[int]], lost: Sequence[bool], noised: Noised, pad_id: int
) -> Arranged:
    """Put prompts without their last token before what stands for the picture; a dropped one keeps its first alone.

    What follows a dropped prompt stays at its place, as it does in sampling's unconditional row. Rows are padded at
    the end: under a causal mask no real token sees a pad.
    """
    device, count = noised.tokens.device, noised.tokens.shape[1]
    kept = [prompt[:1] if drop else prompt[:-1] for prompt, drop in zip(prompts, lost, strict=True)]
    longest = max(map(len, kept)) + count
    ids = torch.full((len(kept), longest), pad_id, dtype=torch.long)
    positions = torch.zeros(len(kept), longest, dtype=torch.long)
    held = torch.zeros(len(kept), longest, dtype=torch.bool)
    for row, (prompt, tokens) in enumerate(zip(prompts, kept, strict=True)):
        end = len(tokens) + count
        ids[row, : len(tokens)] = torch.tensor(tokens)
        positions[row, : len(tokens)] = torch.arange(len(tokens))
        positions[row, len(tokens) : end] = torch.arange(count) + len(prompt) - 1
        held[row, len(tokens) : end] = True
    ids, positions, held = (tensor.to(device) for tensor in (ids, positions, held))
    texts = model.embed_text(ids)
    x = texts.masked_scatter(held[..., None], noised.tokens.to(texts.dtype))
    return Arranged(x, positions, held & (held.cumsum(1) > 1))  # the time comes first and is no part of the picture


@contextmanager
def tapped(layer: nn.Module) -> Iterator[list[Tensor]]:
    """What a layer puts out, call by call."""
    found: list[Tensor] = []
    handle = layer.register_forward_hook(lambda _, __, output: found.append(output))
    try:
        yield found
    finally:
        handle.remove()
