"""A loaded Janus-Pro as the harness sees it: questions and drawings in, responses and failures out."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from janus_eval.models.janus_pro.family import JanusProSettings
from janus_eval.models.janus_pro.loading import describe, load_model
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.processor import Processor, center_crop
from janus_eval.models.janus_pro.sampling import decode_pixels, draw_codes, picker, to_bytes
from janus_eval.models.janus_pro.understanding import Prompt, Tokens, embed_images, generate, log_likelihoods
from janus_eval.models.parts.checkpoint import open_checkpoint
from janus_eval.pictures import Picture, PictureError
from janus_eval.types import Drawing, Failure, Question, Response

ROWS_AT_ONCE = 64
"""Rows that ``score`` reads together: logits over a vocabulary of 102,400 are wide."""


class Asked(NamedTuple):
    """A question made ready: its prompt, and how many tokens its answer may have."""

    place: int
    question: Question
    prompt: Prompt
    limit: int


class JanusProModel:
    """Offers all four capabilities. ``weights`` covers tensors, configuration, tokenizer and preprocessing."""

    def __init__(self, model: JanusPro, processor: Processor, settings: JanusProSettings, weights: str) -> None:
        self.model, self.processor, self.settings, self.weights = model, processor, settings, weights
        self.roles = (settings.user_role, settings.assistant_role)
        self.context = model.config.language.max_position_embeddings
        self.tokens = Tokens(image=processor.image_id, pad=processor.pad_id, eos=processor.eos_id)

    @torch.inference_mode()
    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        """Greedy by default; sampled with each question's own seed at ``answer_temperature``."""
        start = time.perf_counter()
        outcomes, ready, pixels = self._prepare(questions)
        images = embed_images(self.model, pixels)
        # Rows without images have no prefix to share and would only be padded to the length of those that have.
        for batch in ([a for a in ready if a.prompt.images], [a for a in ready if not a.prompt.images]):
            if not batch:
                continue
            limits = [asked.limit for asked in batch]
            seeds = [asked.question.seed for asked in batch]
            pick = picker(seeds, max(limits), self.settings.answer_temperature, self.device)
            prompts = [asked.prompt for asked in batch]
            found = generate(self.model, prompts, images, self.tokens, limits=limits, pick=pick)
            for asked, new in zip(batch, found, strict=True):
                if new.broken >= 0:
                    outcomes[asked.place] = Failure(f"the model's logits are not finite at answer token {new.broken}")
                    continue
                outcomes[asked.place] = Response(
                    text=self.processor.decode(new.ids),
                    input_tokens=len(asked.prompt.ids),
                    output_tokens=len(new.ids),
                    finish="stop" if new.stopped else "length",
                )
        return _timed(outcomes, len(questions), start)

    @torch.inference_mode()
    def score(
        self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]
    ) -> list[list[float] | Failure]:
        """Log-likelihood (nats) of each continuation as the answer's beginning, without the end token."""
        assert len(questions) == len(continuations)
        outcomes, ready, pixels = self._prepare(questions)
        images = embed_images(self.model, pixels)
        rows: list[tuple[int, Prompt, list[int]]] = []
        for place, _, prompt, _ in ready:
            texts = [self.processor.text_ids(f" {text.strip()}") for text in continuations[place]]
            longest = len(prompt.ids) + max(map(len, texts), default=0)
            if longest > self.context:
                outcomes[place] = Failure(f"question and answer have {longest} tokens, the context {self.context}")
                continue
            rows += [(place, prompt, text) for text in texts]
        found: dict[int, list[float]] = {asked.place: [] for asked in ready if asked.place not in outcomes}
        for first in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[first : first + ROWS_AT_ONCE]
            prompts, texts = [prompt for _, prompt, _ in part], [text for _, _, text in part]
            sums = log_likelihoods(self.model, prompts, texts, images, self.tokens).tolist()
            for (place, _, _), value in zip(part, sums, strict=True):
                found[place].append(value)
        results: list[list[float] | Failure] = []
        for place in range(len(questions)):
            failed = outcomes.get(place)
            if isinstance(failed, Failure):
                results.append(failed)
            elif all(map(np.isfinite, found[place])):
                results.append(found[place])
            else:
                results.append(Failure("the model's logits are not finite"))
        return results

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
            ids = self.processor.drawing_ids(drawing.prompt, roles=self.roles)
            if len(ids) + grid[0] * grid[1] > self.context:
                outcomes[place] = Failure(
                    f"the prompt has {len(ids)} tokens and the picture {grid[0] * grid[1]}; "
                    f"the model's context holds {self.context}"
                )
                continue
            batches.setdefault(grid, []).append((place, ids, drawing.seed))
        for grid, rows in batches.items():
            found = self._draw([ids for _, ids, _ in rows], [seed for _, _, seed in rows], grid)
            outcomes |= {place: outcome for (place, _, _), outcome in zip(rows, found, strict=True)}
        return _timed(outcomes, len(drawings), start)

    @torch.inference_mode()
    def reconstruct(self, images: Sequence[Picture]) -> list[Picture | Failure]:
        """Through the VQ tokenizer and back, at the size that is drawn: short side to it, the long one cropped."""
        size = self.model.config.drawn_grid * self.model.config.vq.downsampling
        results: list[Picture | Failure] = []
        for image in images:
            try:
                cropped = center_crop(image.load(), size)
            except PictureError as error:
                results.append(Failure(str(error)))
                continue
            values = torch.from_numpy(np.asarray(cropped).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1)
            codes = self.model.vq.encode(values[None].to(self.device, self.dtype))
            drawn = to_bytes(self.model.vq.decode_codes(codes))[0]
            results.append(Picture.from_pil(Image.fromarray(drawn)))
        return results

    @property
    def device(self) -> torch.device:
        return self.model.lm_head.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.model.lm_head.weight.dtype

    def _draw(self, prompts: list[list[int]], seeds: list[int], grid: tuple[int, int]) -> list[Response | Failure]:
        count = grid[0] * grid[1]
        pick = picker(seeds, count, self.settings.temperature, self.device)
        drawn = draw_codes(
            self.model, prompts, pad_id=self.processor.pad_id, count=count, guidance=self.settings.guidance, pick=pick
        )
        pixels = decode_pixels(self.model, drawn.codes, grid)
        finite = pixels.isfinite().flatten(1).all(1).tolist()
        results: list[Response | Failure] = []
        for ids, image, broken, sound in zip(prompts, to_bytes(pixels), drawn.broken.tolist(), finite, strict=True):
            if broken >= 0:
                results.append(Failure(f"the model's logits are not finite at image token {broken}"))
            elif not sound:
                results.append(Failure("the decoded pixels are not finite"))
            else:
                picture = Picture.from_pil(Image.fromarray(image))
                results.append(Response(image=picture, input_tokens=len(ids), output_tokens=count))
        return results

    def _prepare(
        self, questions: Sequence[Question]
    ) -> tuple[dict[int, Response | Failure], list[Asked], dict[str, Tensor]]:
        """Failures by place, questions that can be asked, and the pixels of their images by digest."""
        failures: dict[int, Response | Failure] = {}
        ready: list[Asked] = []
        pixels: dict[str, Tensor] = {}
        for place, question in enumerate(questions):
            ids = self.processor.turn_ids(
                question.text, images=len(question.images), roles=self.roles, system_prompt=self.settings.system_prompt
            )
            room = self.context - len(ids)
            if room < 1:
                failures[place] = Failure(
                    f"the question has {len(ids)} tokens; the model's context holds {self.context} with the answer"
                )
                continue
            try:
                for image in question.images:
                    if image.digest not in pixels:
                        pixels[image.digest] = self.processor.pixels([image.load()])[0]
            except PictureError as error:
                failures[place] = Failure(str(error))
                continue
            prompt = Prompt(tuple(ids), tuple(image.digest for image in question.images))
            limit = max(1, min(question.max_new_tokens, self.settings.max_answer_tokens, room))
            ready.append(Asked(place, question, prompt, limit))
        return failures, ready, pixels


def _timed(outcomes: Mapping[int, Response | Failure], count: int, start: float) -> list[Response | Failure]:
    """In order, each response with its share of the batch's wall time."""
    share = (time.perf_counter() - start) / max(count, 1)
    found = [outcomes[place] for place in range(count)]
    return [
        Response(r.text, r.image, r.input_tokens, r.output_tokens, share, r.finish) if isinstance(r, Response) else r
        for r in found
    ]


def load(source: str, settings: JanusProSettings, *, device: str = "cpu", dtype: str = "float32") -> JanusProModel:
    """Open, check and load a checkpoint with its processor."""
    checkpoint = open_checkpoint(source)
    config, _ = describe(checkpoint)
    processor = Processor.load(checkpoint, config)  # before the weights: a missing tokenizer is found at once
    model, weights = load_model(checkpoint, device=device, dtype=dtype)
    digest = hashlib.sha256(f"{weights}{processor.digest}".encode()).hexdigest()
    return JanusProModel(model, processor, settings, digest)
