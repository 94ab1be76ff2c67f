"""A loaded image-text-to-text model of transformers as the harness sees it: questions in, answers and likelihoods out.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import torch
from PIL import Image
from torch import Tensor

from janus_eval.errors import UserError
from janus_eval.models.adapters.hf_family import HFSettings
from janus_eval.models.adapters.hf_generation import Stops, Watch, cut, generate
from janus_eval.models.adapters.hf_loading import Loaded, load_model
from janus_eval.models.parts.answering import timed
from janus_eval.models.parts.picking import greedy, picker
from janus_eval.pictures import PictureError
from janus_eval.plain import one_line
from janus_eval.types import Failure, Question, Response

ROWS_AT_ONCE = 8
"""Continuations of one question that are read together."""


class Asked(NamedTuple):
    """A question that can be asked: its place in the batch, the chat as text, its images, its limit of new tokens."""

    place: int
    question: Question
    prompt: str
    images: list[Image.Image]

    @property
    def row(self) -> tuple[str, list[Image.Image]]:
        return self.prompt, self.images


Kind = TypeVar("Kind", bound="HFModel")


class HFModel:
    """``weights`` covers tensors, configurations, tokenizer, preprocessing and chat template."""

    def __init__(self, loaded: Loaded, settings: HFSettings) -> None:
        self.model, self.processor, self.weights, self.source = loaded
        self.settings = settings
        self.tokenizer = self.processor.tokenizer
        text = self.model.config.get_text_config()
        self.context = int(getattr(text, "max_position_embeddings", None) or 2**31)
        ends = self.model.generation_config.eos_token_id
        self.ends = set(ends if isinstance(ends, list) else [] if ends is None else [ends])

    @torch.inference_mode()
    def answer(self, questions: Sequence[Question]) -> list[Response | Failure]:
        """Greedy by default; sampled with each question's own seed at ``answer_temperature``."""
        start = time.perf_counter()
        outcomes, ready = self._prepare(questions)
        # Processors take rows with equally many images; without any, they want none to be given.
        groups: dict[int, list[Asked]] = {}
        for asked in ready:
            groups.setdefault(len(asked.images), []).append(asked)
        for group in groups.values():
            outcomes |= self._answer(group)
        return timed(outcomes, len(questions), start)

    @torch.inference_mode()
    def score(
        self, questions: Sequence[Question], continuations: Sequence[Sequence[str]]
    ) -> list[list[float] | Failure]:
        """Log-likelihood (nats) of each continuation as the answer's beginning, without the end token."""
        assert len(questions) == len(continuations)
        failures, ready = self._prepare(questions)
        found: dict[int, list[float] | Failure] = {
            place: failure for place, failure in failures.items() if isinstance(failure, Failure)
        }
        for asked in ready:
            found[asked.place] = self._likelihoods(asked, continuations[asked.place])
        return [found[place] for place in range(len(questions))]

    def chat(self, text: str, images: int, answer: str | None = None) -> str:
        """A conversation as the model's own template words it, up to where it answers, or to the end of ``answer``."""
        said: list[dict[str, Any]] = []
        if self.settings.system_prompt is not None:
            said.append({"role": "system", "content": [{"type": "text", "text": self.settings.system_prompt}]})
        content = [*({"type": "image"} for _ in range(images)), {"type": "text", "text": text}]
        said.append({"role": "user", "content": content})
        if answer is not None:
            said.append({"role": "assistant", "content": [{"type": "text", "text": answer}]})
        how = {"add_generation_prompt": True} if answer is None else {"continue_final_message": True}
        return str(self.processor.apply_chat_template(said, tokenize=False, **how))

    def encode(self, rows: Sequence[tuple[str, list[Image.Image]]], side: str, **how: str) -> Any:
        """Chats with their images as the model takes them, ``input_ids`` ``[B, T]`` padded on that side."""
        texts, images = [text for text, _ in rows], [pictures for _, pictures in rows]
        begin = self.tokenizer.bos_token  # which most templates write, and most tokenizers would put once more
        found = self.processor(
            text=texts,
            images=images if any(images) else None,
            padding=True,
            padding_side=side,
            return_tensors="pt",
            add_special_tokens=not (begin and texts[0].startswith(begin)),
            **how,
        )
        return found.to(self.model.device, self.model.dtype)

    def _prepare(self, questions: Sequence[Question]) -> tuple[dict[int, Response | Failure], list[Asked]]:
        failures: dict[int, Response | Failure] = {}
        ready: list[Asked] = []
        most = self.settings.max_images
        for place, question in enumerate(questions):
            if most is not None and len(question.images) > most:
                failures[place] = Failure(f"the question has {len(question.images)} images; max_images is {most}")
                continue
            try:
                images = [shrunk(image.load(), self.settings.max_pixels) for image in question.images]
            except PictureError as error:
                failures[place] = Failure(str(error))
                continue
            ready.append(Asked(place, question, self.chat(question.text, len(images)), images))
        return failures, ready

    def _answer(self, group: Sequence[Asked]) -> dict[int, Response | Failure]:
        inputs = self.encode([asked.row for asked in group], "left")
        lengths = inputs["attention_mask"].sum(1).tolist()
        limits = [self._limit(asked, length) for asked, length in zip(group, lengths, strict=True)]
        if min(limits) < 1:
            # Asked again without those, so that the others' rows hold no needless padding.
            fits = [asked for asked, limit in zip(group, limits, strict=True) if limit >= 1]
            found = self._answer(fits) if fits else {}
            return found | {
                asked.place: Failure(
                    f"the question has {length} tokens; the model's context holds {self.context} with the answer"
                )
                for asked, length, limit in zip(group, lengths, limits, strict=True)
                if limit < 1
            }
        temperature = self.settings.answer_temperature
        seeds = [asked.question.seed for asked in group]
        pick = picker(seeds, max(limits), temperature, self.model.device)
        watch = Watch(None if pick is greedy else pick)
        stops = Stops(self.tokenizer, self.settings.stop)
        rows = generate(self.model, inputs, max(limits), watch, stops)
        return {
            asked.place: self._response(ids, limit, length, broken)
            for asked, ids, limit, length, broken in zip(
                group, rows.tolist(), limits, lengths, watch.broken(len(group)), strict=True
            )
        }

    def _limit(self, asked: Asked, length: int) -> int:
        return min(asked.question.max_new_tokens, self.settings.max_answer_tokens, self.context - length)

    def _response(self, row: list[int], limit: int, length: int, broken: int) -> Response | Failure:
        ids, stopped = cut(row[:limit], self.ends, self.tokenizer.pad_token_id)
        if 0 <= broken < len(ids):
            return Failure(f"the model's logits are not finite at answer token {broken}")
        text = str(self.tokenizer.decode(ids, skip_special_tokens=True))
        places = [place for stop in self.settings.stop if (place := text.find(stop)) >= 0]
        text = text[: min(places)] if places else text
        ended = stopped or bool(places)
        return Response(
            text=text.strip(), input_tokens=length, output_tokens=len(ids), finish="stop" if ended else "length"
        )

    def _likelihoods(self, asked: Asked, continuations: Sequence[str]) -> list[float] | Failure:
        prompt = self.encode([asked.row], "right")["input_ids"][0]
        rows = [(self._continued(asked, text.strip()), asked.images) for text in continuations]
        parts = [self.encode(rows[k : k + ROWS_AT_ONCE], "right") for k in range(0, len(rows), ROWS_AT_ONCE)]
        longest = max((part["input_ids"].shape[1] for part in parts), default=0)
        if longest > self.context:
            return Failure(f"question and answer have {longest} tokens, the context {self.context}")
        start = min((shared(part["input_ids"], prompt) for part in parts), default=0)
        sums = [value for part in parts for value in self._sums(part, start).tolist()]
        if not all(map(math.isfinite, sums)):
            return Failure("the model's logits are not finite")
        return sums

    def _continued(self, asked: Asked, answer: str) -> str:
        """The chat with the beginning of an answer: with the space, if any, that the template puts before one."""
        whole = self.chat(asked.question.text, len(asked.images), answer)
        return whole if whole.startswith(asked.prompt) else asked.prompt + answer

    def _sums(self, inputs: Any, start: int) -> Tensor:
        """Sum of the log-probabilities of each row's tokens from ``start`` on ``[B]`` (float64)."""
        # Padded on the right: a row's tokens see only what is before them, at the positions that they have alone.
        ids, real = inputs["input_ids"], inputs["attention_mask"].bool()
        kept = torch.arange(start - 1, ids.shape[1] - 1, device=ids.device)
        some = "logits_to_keep" in inspect.signature(self.model.forward).parameters
        logits = self.model(**inputs, use_cache=False, **({"logits_to_keep": kept} if some else {})).logits
        logits = (logits if some else logits[:, kept]).double().log_softmax(-1)
        chosen = logits.gather(-1, ids[:, start:, None])[..., 0]
        return chosen.masked_fill(~real[:, start:], 0.0).sum(-1)


def shared(rows: Tensor, prompt: Tensor) -> int:
    """How many tokens all rows ``[B, T]`` begin with as the prompt ``[T]`` does: all of it, unless its last one merges
    with an answer's first; then the likelihoods are of what follows before that."""
    most = min(rows.shape[1], len(prompt))
    return int((rows[:, :most] == prompt[:most]).all(0).long().cumprod(0).sum())


def shrunk(image: Image.Image, most: int | None) -> Image.Image:
    """An image of at most so many pixels, of the same shape."""
    width, height = image.size
    if most is None or width * height <= most:
        return image
    scale = math.sqrt(most / (width * height))
    return image.resize((max(1, int(width * scale)), max(1, int(height * scale))), Image.Resampling.BICUBIC)


def load(source: str, settings: HFSettings, *, device: str = "cpu", dtype: str = "float32") -> HFModel:
    """Open, check and load; then one chat with an image is worded and read, so that no run begins in vain."""
    return opened(HFModel, source, settings, device=device, dtype=dtype)


def opened(kind: Callable[[Loaded, Any], Kind], source: str, settings: HFSettings, *, device: str, dtype: str) -> Kind:
    model = kind(load_model(source, settings, device=device, dtype=dtype), settings)
    try:
        model.encode([(model.chat("What is this?", 1), [Image.new("RGB", (64, 64), (128, 128, 128))])], "left")
        model.chat("What is this?", 0, "Nothing")
    except Exception as error:
        raise UserError(f"{source}: its chat template or processor cannot be used: {one_line(error, 300)}") from error
    return model
