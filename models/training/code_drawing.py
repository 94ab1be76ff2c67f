"""How Janus-Pro learns to draw: the codes of its VQ tokenizer, by cross-entropy, one after the other.

Shapes: B rows, T tokens, C codes of a drawn image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.sampling import unconditional
from janus_eval.models.janus_pro.weights import save_checkpoint
from janus_eval.models.parts.processor import Processor
from janus_eval.models.training.drawing import drawn_pixels, dropped, examples_to_draw, structure
from janus_eval.models.training.loop import Stepper
from janus_eval.models.training.recipe import Recipe, Stage
from janus_eval.models.training.sources import Example, Source
from janus_eval.models.training.vq_stage import VQStage


class CodeDrawing:
    def __init__(self, recipe: Recipe, model: JanusPro, processor: Processor, source: Source) -> None:
        self.recipe, self.model, self.processor, self.source = recipe, model, processor, source
        self.tokens = structure(processor, begins=False)

    def stepper(self, folder: Path) -> Stepper | None:
        recipe, vq = self.recipe, self.model.vq
        stage = recipe.tokenizer_stage
        if stage is None:
            return None
        runner = VQStage(vq, stage, recipe.seed)

        def step(index: int) -> Mapping[str, float]:
            return runner.step(index, self._pixels(examples_to_draw(self.source, index, stage.batch_size)))

        return Stepper(
            "tokenizer", stage.steps, stage.schedule, recipe.optimizer, vq, ("all",),
            folder, step, stage.steps, extra_state=runner.extra_state, load_extra=runner.load_extra,
        )  # fmt: skip

    def losses(
        self,
        stage: Stage,
        examples: Sequence[Example],
        prompts: Sequence[list[int]],
        weight: float,
        label: str,
        micro_batch: int,
    ) -> dict[str, float]:
        """Cross-entropy of the codes; a dropped text is what stands in sampling's unconditional row."""
        pad_id = self.processor.pad_id
        lost = dropped(len(examples), self.recipe.text_drop, self.recipe.seed, label)
        rows = [unconditional(prompt, pad_id) if drop else prompt for prompt, drop in zip(prompts, lost, strict=True)]
        value = 0.0
        for chunk in range(0, len(examples), micro_batch):
            part = slice(chunk, chunk + micro_batch)
            with torch.no_grad():
                codes = self.model.vq.encode(self._pixels(examples[part])).flatten(1)
            loss = drawing_loss(self.model, rows[part], codes, pad_id) / (len(examples) * codes.shape[1])
            (weight * loss).backward()
            value += loss.item()
        return {"generation": value}

    def watch(self, stepper: Stepper) -> Stepper:
        return stepper

    def save(self, folder: Path, dtype: torch.dtype) -> None:
        save_checkpoint(self.model, folder, dtype=dtype)

    def _pixels(self, examples: Sequence[Example]) -> Tensor:
        config = self.model.config
        return drawn_pixels(examples, config.drawn_grid * config.vq.downsampling, self.model.lm_head.weight.device)


def drawing_loss(model: JanusPro, prompts: Sequence[list[int]], codes: Tensor, pad_id: int) -> Tensor:
    """Sum of the cross-entropies of codes ``[B, C]`` after their prompts."""
    rows, count = codes.shape
    longest = max(map(len, prompts)) + count - 1
    ids = torch.full((rows, longest), pad_id, dtype=torch.long)
    drawn = torch.zeros(rows, longest, dtype=torch.bool)
    predicting = torch.zeros(rows, longest, dtype=torch.bool)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)
        drawn[row, len(prompt) : len(prompt) + count - 1] = True
        predicting[row, len(prompt) - 1 : len(prompt) + count - 1] = True
    ids, drawn, predicting = (tensor.to(codes.device) for tensor in (ids, drawn, predicting))
    embedded = model.embed_codes(codes[:, :-1])
    x = model.embed_text(ids).masked_scatter(drawn[..., None], embedded)
    hidden = model.language(x)
    return F.cross_entropy(model.code_logits(hidden[predicting]).float(), codes.flatten(), reduction="sum")
