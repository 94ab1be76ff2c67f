"""From a recipe and a source to a checkpoint in the published file format.

Order: the tokenizer stage (if the recipe has one), then the recipe's stages one after the other on one model. Each
stage starts a new AdamW, as a new stage of the paper does, and leaves ``STAGE.state.pt``; a run that was killed goes on
from the last one written and ends with the same weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console
from torch import Tensor, nn

from janus_eval.errors import UserError
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.sampling import unconditional
from janus_eval.models.parts.processor import Processor, center_crop
from janus_eval.models.training.batches import (
    IGNORED,
    Encoder,
    Rows,
    drawing_loss,
    pad,
    similar_lengths,
    split_batch,
    text_loss,
)
from janus_eval.models.training.loop import Stepper
from janus_eval.models.training.recipe import Recipe, Stage, TokenizerStage, VisionStage
from janus_eval.models.training.sources import KINDS, Example, Kind, ShapesSource, Source, image_batch
from janus_eval.models.training.vision_stage import Seeing, stacked
from janus_eval.models.training.vq_stage import VQStage


@dataclass
class Trainer:
    """``micro_batch`` rows go through the model at once; gradients add up to those of the whole batch."""

    recipe: Recipe
    model: JanusPro
    processor: Processor
    source: Source
    folder: Path
    micro_batch: int = 64

    @property
    def device(self) -> torch.device:
        return self.model.lm_head.weight.device

    def run(self, console: Console, *, stop_after: int | None = None) -> None:
        """All stages from where the folder left off. ``stop_after`` ends each after so many steps (for trials)."""
        for stepper in self.steppers():
            stepper.run(console, stop_after=stop_after)

    def steppers(self) -> list[Stepper]:
        stages = [] if self.recipe.tokenizer_stage is None else [self._tokenizer_stage(self.recipe.tokenizer_stage)]
        if self.recipe.vision_stage is not None:
            stages.append(self._vision_stage(self.recipe.vision_stage))
        offset = 0
        for stage in self.recipe.stages:
            stages.append(self._stage(stage, offset))
            offset += stage.last_step * stage.batch_size
        return stages

    def _tokenizer_stage(self, stage: TokenizerStage) -> Stepper:
        vq = self.model.vq
        runner = VQStage(vq, stage, self.recipe.seed)
        kinds: list[Kind] = [kind for kind in ("generation", "understanding") if kind in self.source.kinds()]

        def step(index: int) -> Mapping[str, float]:
            start = index * stage.batch_size
            examples = [self.source.example(kinds[k % len(kinds)], start + k) for k in range(stage.batch_size)]
            return runner.step(index, self._drawn_pixels(examples))

        return Stepper(
            "tokenizer", stage.steps, stage.schedule, self.recipe.optimizer, vq, ("all",),
            self.folder, step, stage.steps, extra_state=runner.extra_state, load_extra=runner.load_extra,
        )  # fmt: skip

    def _vision_stage(self, stage: VisionStage) -> Stepper:
        source, vision = self.source, self.model.vision
        if not isinstance(source, ShapesSource):
            raise UserError(
                "vision_stage learns from the world of shapes alone: leave out --data, or give --start and a recipe "
                "without vision_stage"
            )
        seeing = Seeing(vision).to(self.device)

        def step(index: int) -> Mapping[str, float]:
            start = index * stage.batch_size
            examples = [source.patches(start + k, vision.config.grid) for k in range(stage.batch_size)]
            pixels = self.processor.pixels([Image.fromarray(example.image) for example in examples]).to(self.device)
            losses = seeing.losses(pixels, {name: labels.to(self.device) for name, labels in stacked(examples).items()})
            torch.stack(list(losses.values())).sum().backward()
            return {name: loss.item() for name, loss in losses.items()}

        return Stepper(
            "vision", stage.steps, stage.schedule, self.recipe.optimizer, seeing, ("all",), self.folder, step,
            stage.steps,
        )  # fmt: skip

    def _stage(self, stage: Stage, offset: int) -> Stepper:
        wanted = [kind for kind, part in zip(KINDS, stage.ratio, strict=True) if part > 0]
        missing = [kind for kind in wanted if kind not in self.source.kinds()]
        if missing:
            raise UserError(f"stage {stage.name} needs {' and '.join(missing)} examples; the data has none")
        options = self.recipe.optimizer
        if stage.weight_decay is not None:
            options = options.model_copy(update={"weight_decay": stage.weight_decay})
        return Stepper(
            stage.name, stage.steps, stage.schedule, options, self.model, stage.trainable, self.folder,
            lambda index: self.losses(stage, index, offset), stage.last_step, stage.rates,
        )  # fmt: skip

    def losses(self, stage: Stage, index: int, offset: int = 0) -> dict[str, float]:
        """Mean loss of each kind in one step; leaves gradients. Examples are counted on from ``offset``."""
        counts = split_batch(stage.batch_size, stage.ratio, index)
        start = offset + index * stage.batch_size
        losses: dict[str, float] = {}
        source = self.source
        if isinstance(source, ShapesSource):
            source = ShapesSource(source.seed, stage.conversation)
        for kind, count, weight in zip(KINDS, counts, self.recipe.loss_weights, strict=True):
            examples = [source.example(kind, start + k) for k in range(count)]
            if kind == "generation":
                losses |= self._generation(examples, weight, f"{stage.name}/{index}")
            else:
                losses |= self._language(kind, examples, weight)
        return losses

    def _language(self, kind: Kind, examples: Sequence[Example], weight: float) -> dict[str, float]:
        if not examples:
            return {}
        encoder = Encoder(self.processor, self.recipe.roles, self.recipe.system_prompt)
        asks = kind == "understanding"
        encoded = [encoder.understanding(example.turns) if asks else encoder.text(example.text) for example in examples]
        total = sum(target != IGNORED for _, targets in encoded for target in targets)
        value = 0.0
        for part in similar_lengths([len(ids) for ids, _ in encoded], self.micro_batch):
            rows = Rows(*(tensor.to(self.device) for tensor in pad([encoded[k] for k in part], self.processor.pad_id)))
            pixels = None
            if asks:
                pixels = self.processor.pixels([_image(examples[k]) for k in part]).to(self.device)
            loss = text_loss(self.model, rows, pixels, self.processor.image_id) / total
            (weight * loss).backward()
            value += loss.item()
        return {kind: value}

    def _generation(self, examples: Sequence[Example], weight: float, label: str) -> dict[str, float]:
        if not examples:
            return {}
        encoder = Encoder(self.processor, self.recipe.roles, self.recipe.system_prompt)
        dropped = torch.rand(len(examples), generator=_generator(self.recipe.seed, label)) < self.recipe.text_drop
        pad_id = self.processor.pad_id
        prompts = [encoder.prompt(example.prompt) for example in examples]
        for row in dropped.nonzero().flatten().tolist():
            prompts[row] = unconditional(prompts[row], pad_id)
        value = 0.0
        for chunk in range(0, len(examples), self.micro_batch):
            part = slice(chunk, chunk + self.micro_batch)
            with torch.no_grad():
                codes = self.model.vq.encode(self._drawn_pixels(examples[part])).flatten(1)
            loss = drawing_loss(self.model, prompts[part], codes, pad_id) / (len(examples) * codes.shape[1])
            (weight * loss).backward()
            value += loss.item()
        return {"generation": value}

    def _drawn_pixels(self, examples: Sequence[Example]) -> Tensor:
        """Images as they are drawn: the short side to the size, the long one cropped (section 3.1)."""
        config = self.model.config
        size = config.drawn_grid * config.vq.downsampling
        pixels = image_batch([_image(e) for e in examples], lambda image: center_crop(image, size))
        return torch.from_numpy(pixels).to(self.device)


EMBEDDINGS = {"language.embed_tokens": 0.5, "gen_embed": 1.0, "vq.codebook": 0.02}
"""Standard deviations of fresh tables. Text has about what the aligners make of images and codes."""


def init_weights(model: nn.Module, seed: int) -> None:
    """Normal weights that keep the size of what they are given (LeCun), zero biases.

    The last products of the decoder's residual branches are smaller by its depth (GPT-2's rule); convolutions are
    PyTorch's default. Text, codes and image tokens enter the decoder at a like size: far apart, the optimizer first
    grows the small ones, and the image's grew to a constant that hid what it showed. Each parameter's values depend on
    the seed and its name alone.
    """
    depth = sum(name.endswith(".mlp") for name, _ in model.named_modules())
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            last = name.endswith(("attention.out", "mlp.down"))
            std = (module.in_features * (2 * depth if last else 1)) ** -0.5
            nn.init.normal_(module.weight, std=std, generator=_generator(seed, name))
        elif isinstance(module, nn.Embedding):
            std = EMBEDDINGS[name]
            nn.init.normal_(module.weight, std=std, generator=_generator(seed, name))
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=_generator(seed, name))
        if isinstance(module, (nn.Linear, nn.Conv2d)) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for name, parameter in model.named_parameters():
        if name.endswith("pos_embed"):
            nn.init.normal_(parameter, std=0.2, generator=_generator(seed, name))


def _image(example: Example) -> Image.Image:
    assert example.image is not None
    return example.image


def _generator(seed: int, label: str) -> torch.Generator:
    digest = hashlib.sha256(f"{seed}/{label}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
