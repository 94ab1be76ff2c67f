"""Generation by transformers under our own rules: each row's own random stream, its own end, and logits looked at.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationMixin, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from janus_eval.models.parts.picking import Pick

TAIL = 32
"""Tokens at an answer's end in which a stop text is looked for at every step."""


class Watch(LogitsProcessor):
    """Notes where logits are no numbers; and where there is a ``pick``, leaves only the token that it picks possible.

    So rows are sampled from streams of their own, which ``generate`` has no way to ask for.
    """

    def __init__(self, pick: Pick | None) -> None:
        self.pick = pick
        self.finite: list[Tensor] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        top = scores.amax(-1)  # NaN where any is NaN; some tokens may be ruled out by -inf, never all
        self.finite.append(top.isfinite())
        if self.pick is None:
            return scores
        rows = torch.arange(len(scores), device=scores.device)
        chosen = self.pick(len(self.finite) - 1, rows, scores.float())
        return torch.full_like(scores, -torch.inf).scatter(-1, chosen[:, None], 0.0)

    def broken(self, rows: int) -> list[int]:
        """Each row's first step without finite logits, or -1."""
        if not self.finite:
            return [-1] * rows
        bad = ~torch.stack(self.finite)
        return [int(column.long().argmax()) if bool(column.any()) else -1 for column in bad.T]


class Stops(StoppingCriteria):
    """Ends a row whose answer holds one of the texts."""

    def __init__(self, tokenizer: Any, texts: Sequence[str]) -> None:
        self.tokenizer, self.texts = tokenizer, tuple(texts)
        self.steps = 0

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        self.steps += 1
        ends = self.tokenizer.batch_decode(input_ids[:, -min(self.steps, TAIL) :], skip_special_tokens=True)
        found = [any(text in end for text in self.texts) for end in ends]
        return torch.tensor(found, dtype=torch.bool, device=input_ids.device)


def generate(model: Any, inputs: Any, limit: int, watch: Watch, stops: Stops) -> Tensor:
    """New tokens of each row ``[B, up to limit]``, greedy or as ``watch`` picks; ended rows are filled with padding."""
    # Janus's own `generate` loses the processor of logits, and adds nothing for texts.
    call = GenerationMixin.generate if type(model).__name__.startswith("Janus") else type(model).generate
    found = call(
        model,
        **inputs,
        max_new_tokens=limit,
        do_sample=False,
        logits_processor=LogitsProcessorList([watch]),
        stopping_criteria=StoppingCriteriaList([stops] if stops.texts else []),
    )
    if watch.pick is not None and not watch.finite:
        raise ValueError(f"{type(model).__name__} can only answer greedily: answer_temperature must be 0")
    asked = inputs["input_ids"]
    width = asked.shape[1]
    # Some models return what they were given before what is new, others not.
    repeats = found.shape[1] >= width and bool((found[:, :width] == asked).all())
    new: Tensor = found[:, width:] if repeats else found
    return new


def cut(ids: list[int], ends: Collection[int], pad: int | None) -> tuple[list[int], bool]:
    """An answer's own tokens, its end token included, and whether it has one."""
    end = next((place for place, token in enumerate(ids) if token in ends), None)
    if end is not None:
        return ids[: end + 1], True
    while ids and ids[-1] == pad:  # a row that a stop text has ended
        ids = ids[:-1]
    return ids, False
