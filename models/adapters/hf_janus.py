"""transformers' own Janus, which also draws: a second implementation beside ours, on the same checkpoints.

Shapes: P pictures, V codebook size.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from janus_eval.errors import UserError
from janus_eval.models.adapters.hf_adapter import HFModel, opened
from janus_eval.models.adapters.hf_family import HFJanusSettings
from janus_eval.models.adapters.hf_loading import Loaded
from janus_eval.models.parts.answering import timed
from janus_eval.models.parts.outcomes import drawn
from janus_eval.models.parts.picking import Pick, picker
from janus_eval.types import Drawing, Failure, Response


class Guide(LogitsProcessor):
    """Mixes a conditional and an unconditional row, picks from the row's own stream, and leaves only that possible.

    The library samples from the global random state, and has its guidance and then its sampling after such processors;
    given a single possible code, its greedy way takes that.
    """

    def __init__(self, guidance: float, pick: Pick) -> None:
        self.guidance, self.pick = guidance, pick
        self.finite: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Logits ``[2P, V]``, conditional ones first, to ``[P, V]``."""
        conditional, free = scores.float().chunk(2)
        mixed = free + self.guidance * (conditional - free)
        chosen = self.pick(len(self.finite), torch.arange(len(mixed), device=mixed.device), mixed)
        self.finite.append(mixed.isfinite().all(-1))
        return torch.full_like(mixed, -torch.inf).scatter(-1, chosen[:, None], 0.0)


class HFJanus(HFModel):
    """Answers, ranks and draws."""

    def __init__(self, loaded: Loaded, settings: HFJanusSettings) -> None:
        if (kind := type(loaded.model).__name__) != "JanusForConditionalGeneration":
            raise UserError(f"model 'hf-janus': a {kind} is no Janus; hf:REPO can answer")
        super().__init__(loaded, settings)
        self.drawing = settings
        begin = self.tokenizer.convert_tokens_to_ids(self.processor.image_start_token)
        self.model.generation_config.generation_kwargs = {"boi_token_id": begin}

    @torch.inference_mode()
    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        """Each picture depends on its prompt and seed alone. Prompts are padded on the left and masked."""
        start = time.perf_counter()
        vq = self.model.config.vq_config
        count = int(self.model.model.vision_model.config.num_image_tokens)
        side = round(count**0.5) * 2 ** (len(vq.channel_multiplier) - 1)
        outcomes: dict[int, Response | Failure] = {
            place: Failure(f"size {drawing.size[0]}x{drawing.size[1]}: it draws {side}x{side} pixels only")
            for place, drawing in enumerate(drawings)
            if drawing.size not in {None, (side, side)}
            if drawing.size is not None
        }
        places = [place for place in range(len(drawings)) if place not in outcomes]
        if places:
            found = self._draw([drawings[place] for place in places], count)
            outcomes |= dict(zip(places, found, strict=True))
        return timed(outcomes, len(drawings), start)

    def _draw(self, drawings: Sequence[Drawing], count: int) -> list[Response | Failure]:
        chats = [self.chat(drawing.prompt, 0) for drawing in drawings]
        inputs = self.encode([(chat, []) for chat in chats], "left", generation_mode="image")
        seeds = [drawing.seed for drawing in drawings]
        guide = Guide(self.drawing.guidance, picker(seeds, count, self.drawing.temperature, self.model.device))
        codes = self.model.generate(
            **inputs,
            generation_mode="image",
            do_sample=False,
            guidance_scale=1.0,  # none of the library's own
            logits_processor=LogitsProcessorList([guide]),
        )
        pixels = self.model.decode_image_tokens(codes).permute(0, 3, 1, 2).float()
        rows = [
            row[mask.bool()].tolist() for row, mask in zip(inputs["input_ids"], inputs["attention_mask"], strict=True)
        ]
        bad = ~torch.stack(guide.finite)
        broken = [
            f"the model's logits are not finite at image token {int(column.long().argmax())}" if column.any() else ""
            for column in bad.T
        ]
        return drawn(pixels, broken, rows, count)


def load(source: str, settings: HFJanusSettings, *, device: str = "cpu", dtype: str = "float32") -> HFJanus:
    """As ``hf_adapter.load``. Raises UserError for another model than a Janus."""
    return opened(HFJanus, source, settings, device=device, dtype=dtype)
