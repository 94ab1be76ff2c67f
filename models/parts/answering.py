"""Questions in, answers or likelihoods out: what every family's adapter does with what it reads.

Composed, not inherited: an adapter holds an ``Answerer`` and hands its questions on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from janus_eval.models.parts.picking import picker
from janus_eval.models.parts.processor import Processor
from janus_eval.models.parts.reader import Reader
from janus_eval.models.parts.settings import ReadingSettings
from janus_eval.models.parts.understanding import Continued, Prompt, Tokens, continued, embed_images, generate
from janus_eval.pictures import PictureError
from janus_eval.types import Failure, Question, Response

ROWS_AT_ONCE = 64
"""Rows that ``score`` reads together: logits over a vocabulary of 102,400 are wide."""


class Asked(NamedTuple):
    """A question made ready: its prompt, and how many tokens its answer may have."""

    place: int
    question: Question
    prompt: Prompt
    limit: int


class Answerer:
    """A model that reads, with what turns questions into its prompts."""

    def __init__(self, model: Reader, processor: Processor, settings: ReadingSettings, tokens: Tokens) -> None:
        self.model, self.processor, self.settings, self.tokens = model, processor, settings, tokens
        self.roles = (settings.user_role, settings.assistant_role)
        self.context = model.language.config.max_position_embeddings
        self.device = model.lm_head.weight.device

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
        return timed(outcomes, len(questions), start)

    def score(
        self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]
    ) -> list[list[float] | Failure]:
        """Log-likelihood (nats) of each continuation as the answer's beginning, without the end token."""
        return [
            row if isinstance(row, Failure) else [found.likelihood for found in row]
            for row in self.continued(questions, continuations)
        ]

    @torch.inference_mode()
    def continued(
        self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]
    ) -> list[list[Continued] | Failure]:
        """The same, with the number of each continuation's tokens and whether it is the greedy one."""
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
        found: dict[int, list[Continued]] = {asked.place: [] for asked in ready if asked.place not in outcomes}
        for first in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[first : first + ROWS_AT_ONCE]
            prompts, texts = [prompt for _, prompt, _ in part], [text for _, _, text in part]
            read = continued(self.model, prompts, texts, images, self.tokens)
            for (place, _, _), value in zip(part, read, strict=True):
                found[place].append(value)
        results: list[list[Continued] | Failure] = []
        for place in range(len(questions)):
            failed = outcomes.get(place)
            if isinstance(failed, Failure):
                results.append(failed)
            elif all(np.isfinite(row.likelihood) for row in found[place]):
                results.append(found[place])
            else:
                results.append(Failure("the model's logits are not finite"))
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


def timed(outcomes: Mapping[int, Response | Failure], count: int, start: float) -> list[Response | Failure]:
    """In order, each response with its share of the batch's wall time."""
    share = (time.perf_counter() - start) / max(count, 1)
    found = [outcomes[place] for place in range(count)]
    return [replace(outcome, seconds=share) if isinstance(outcome, Response) else outcome for outcome in found]
