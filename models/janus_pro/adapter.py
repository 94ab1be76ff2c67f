"""A loaded Janus-Pro as the harness sees it: questions and drawings in, responses and failures out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import torch

from janus_eval.checkpoint import open_checkpoint
from janus_eval.models.janus_pro.family import JanusProSettings
from janus_eval.models.janus_pro.loading import describe, load_model
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.sampling import decode_pixels, draw_codes
from janus_eval.models.parts.answering import Answerer, timed
from janus_eval.models.parts.outcomes import drawn, reconstructed
from janus_eval.models.parts.picking import picker
from janus_eval.models.parts.processor import Processor
from janus_eval.models.parts.understanding import Tokens
from janus_eval.pictures import Picture
from janus_eval.types import Drawing, Failure, Question, Response


class JanusProModel:
    """Offers all four capabilities. ``weights`` covers tensors, configuration, tokenizer and preprocessing."""

    def __init__(self, model: JanusPro, processor: Processor, settings: JanusProSettings, weights: str) -> None:
        self.model, self.processor, self.settings, self.weights = model, processor, settings, weights
        tokens = Tokens(image=processor.image_id, pad=processor.pad_id, eos=processor.eos_id)
        self.answerer = Answerer(model, processor, settings, tokens)

    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        """Greedy by default; sampled with each question's own seed at ``answer_temperature``."""
        return self.answerer.answer(questions)

    def score(
        self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]
    ) -> list[list[float] | Failure]:
        """Log-likelihood (nats) of each continuation as the answer's beginning, without the end token."""
        return self.answerer.score(questions, continuations)

    @torch.inference_mode()
    def draw(self, drawings: Sequence[Drawing]) -> list[Response | Failure]:
        """Each picture's codes depend on its prompt and seed alone; drawings of one size are drawn together."""
        start = time.perf_counter()
        outcomes: dict[int, Response | Failure] = {}
        batches: dict[tuple[int, int], list[tuple[int, list[int], int]]] = {}
        own = self.model.config.drawn_grid
        scale = self.model.config.vq.downsampling
        for place, drawing in enumerate(drawings):
            height, width = drawing.size or (own * scale, own * scale)
            if height < scale or width < scale or height % scale or width % scale:
                outcomes[place] = Failure(f"size {height}x{width}: sides must be multiples of {scale} pixels")
                continue
            grid = height // scale, width // scale
            ids = self.processor.drawing_ids(drawing.prompt, roles=self.answerer.roles)
            if len(ids) + grid[0] * grid[1] > self.answerer.context:
                outcomes[place] = Failure(
                    f"the prompt has {len(ids)} tokens and the picture {grid[0] * grid[1]}; "
                    f"the model's context holds {self.answerer.context}"
                )
                continue
            batches.setdefault(grid, []).append((place, ids, drawing.seed))
        for grid, rows in batches.items():
            found = self._draw([ids for _, ids, _ in rows], [seed for _, _, seed in rows], grid)
            outcomes |= {place: outcome for (place, _, _), outcome in zip(rows, found, strict=True)}
        return timed(outcomes, len(drawings), start)

    @torch.inference_mode()
    def reconstruct(self, images: Sequence[Picture]) -> list[Picture | Failure]:
        """Through the VQ tokenizer and back, at the size that is drawn: short side to it, the long one cropped."""
        vq, size = self.model.vq, self.model.config.drawn_grid * self.model.config.vq.downsampling
        return reconstructed(
            images, size, lambda pixels: vq.decode_codes(vq.encode(pixels.to(self.device, self.dtype)))
        )

    @property
    def device(self) -> torch.device:
        return self.model.lm_head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.lm_head.weight.dtype

    def _draw(self, prompts: list[list[int]], seeds: list[int], grid: tuple[int, int]) -> list[Response | Failure]:
        count = grid[0] * grid[1]
        pick = picker(seeds, count, self.settings.temperature, self.device)
        found = draw_codes(
            self.model, prompts, pad_id=self.processor.pad_id, count=count, guidance=self.settings.guidance, pick=pick
        )
        broken = [
            f"the model's logits are not finite at image token {step}" if step >= 0 else ""
            for step in found.broken.tolist()
        ]
        return drawn(decode_pixels(self.model, found.codes, grid), broken, prompts, count)


def load(source: str, settings: JanusProSettings, *, device: str = "cpu", dtype: str = "float32") -> JanusProModel:
    """Open, check and load a checkpoint with its processor."""
    checkpoint = open_checkpoint(source)
    config, _ = describe(checkpoint)
    processor = Processor.load(
        checkpoint, config.vision, config.language.vocab_size
    )  # before the weights: a missing tokenizer is found at once
    model, weights = load_model(checkpoint, device=device, dtype=dtype)
    digest = hashlib.sha256(f"{weights}{processor.digest}".encode()).hexdigest()
    return JanusProModel(model, processor, settings, digest)
