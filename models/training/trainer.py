"""From a recipe and a source to a trained model.

Order: the image tokenizer's or autoencoder's own stage and the understanding encoder's, where the recipe has them, then
the paper's stages one after the other on one model. Each starts a new AdamW, as a new stage of the paper does, and
leaves ``STAGE.state.pt``; a run that was killed goes on from the last one written and ends with the same weights.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from rich.console import Console

from janus_eval.errors import UserError
from janus_eval.models.parts.processor import Processor
from janus_eval.models.parts.reader import Reader
from janus_eval.models.training.batches import IGNORED, Encoder, Rows, pad, similar_lengths, split_batch, text_loss
from janus_eval.models.training.drawing import Drawing, image_of
from janus_eval.models.training.loop import Stepper
from janus_eval.models.training.recipe import Recipe, Stage, VisionStage
from janus_eval.models.training.sources import KINDS, Example, Kind, ShapesSource, Source
from janus_eval.models.training.vision_stage import Seeing, stacked


@dataclass
class Trainer:
    """``micro_batch`` rows go through the model at once; gradients add up to those of the whole batch."""

    recipe: Recipe
    drawing: Drawing
    processor: Processor
    source: Source
    folder: Path
    micro_batch: int = 64

    @property
    def model(self) -> Reader:
        return self.drawing.model

    @property
    def device(self) -> torch.device:
        return self.model.lm_head.weight.device

    def run(self, console: Console, *, stop_after: int | None = None) -> None:
        """All stages from where the folder left off. ``stop_after`` ends each after so many steps (for trials)."""
        for stepper in self.steppers():
            stepper.run(console, stop_after=stop_after)

    def steppers(self) -> list[Stepper]:
        own = self.drawing.stepper(self.folder)
        stages = [] if own is None else [own]
        if self.recipe.vision_stage is not None:
            stages.append(self._vision_stage(self.recipe.vision_stage))
        offset = 0
        for stage in self.recipe.stages:
            stages.append(self._stage(stage, offset))
            offset += stage.last_step * stage.batch_size
        return stages

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
        mixtures = (stage.ratio, stage.ratio_at(0))
        wanted = [kind for place, kind in enumerate(KINDS) if any(ratio[place] > 0 for ratio in mixtures)]
        missing = [kind for kind in wanted if kind not in self.source.kinds()]
        if missing:
            raise UserError(f"stage {stage.name} needs {' and '.join(missing)} examples; the data has none")
        options = self.recipe.optimizer
        if stage.weight_decay is not None:
            options = options.model_copy(update={"weight_decay": stage.weight_decay})
        stepper = Stepper(
            stage.name, stage.steps, stage.schedule, options, self.model, stage.trainable, self.folder,
            lambda index: self.losses(stage, index, offset), stage.last_step, stage.rates,
        )  # fmt: skip
        return self.drawing.watch(stepper)

    def losses(self, stage: Stage, index: int, offset: int = 0) -> dict[str, float]:
        """Mean loss of each kind in one step; leaves gradients. Examples are counted on from ``offset``."""
        counts = split_batch(stage.batch_size, stage.ratio_at(index), index)
        start = offset + index * stage.batch_size
        losses: dict[str, float] = {}
        source = self.source.speaking(stage.conversation)
        weights = stage.loss_weights or self.recipe.loss_weights
        for kind, count, weight in zip(KINDS, counts, weights, strict=True):
            examples = [source.example(kind, start + k) for k in range(count)]
            if kind == "generation":
                losses |= self._generation(stage, examples, weight, f"{stage.name}/{index}")
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
                pixels = self.processor.pixels([image_of(examples[k]) for k in part]).to(self.device)
            loss = text_loss(self.model, rows, pixels, self.drawing.tokens) / total
            (weight * loss).backward()
            value += loss.item()
        return {kind: value}

    def _generation(self, stage: Stage, examples: Sequence[Example], weight: float, label: str) -> dict[str, float]:
        if not examples:
            return {}
        encoder = Encoder(self.processor, self.recipe.roles, self.recipe.system_prompt)
        prompts = [encoder.prompt(example.prompt) for example in examples]
        return self.drawing.losses(stage, examples, prompts, weight, label, self.micro_batch)
