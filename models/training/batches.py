"""Examples -> token rows, and the loss of what is read.

Shapes: B rows, T tokens, N image tokens of the understanding encoder.
Rows are padded at the end: under a causal mask no real token sees a pad, so no mask is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from janus_eval.models.parts.processor import Processor
from janus_eval.models.parts.reader import Reader
from janus_eval.models.parts.understanding import Tokens

IGNORED = -100


class Rows(NamedTuple):
    """Token ids ``[B, T]`` and the ids to be predicted from each place ``[B, T]``, IGNORED where none is."""

    ids: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Encoder:
    """Turns texts into training rows exactly as the processor turns them into prompts."""

    processor: Processor
    roles: tuple[str, str]
    system_prompt: str = ""

    def understanding(self, turns: Sequence[tuple[str, str]]) -> tuple[list[int], list[int]]:
        """A conversation about one image; only the answers are learned (mask_prompt of the published processor)."""
        ids: list[int] = []
        targets: list[int] = []
        for k, (question, answer) in enumerate(turns):
            asked = self.processor.turn_ids(
                question, images=1 if k == 0 else 0, roles=self.roles, system_prompt=self.system_prompt, first=k == 0
            )
            answered = [*self.processor.text_ids(f" {answer}"), self.processor.eos_id]
            ids += asked + answered
            targets += [IGNORED] * len(asked) + answered
        return ids, targets

    def text(self, text: str) -> tuple[list[int], list[int]]:
        ids = [self.processor.bos_id, *self.processor.text_ids(text), self.processor.eos_id]
        return ids, [IGNORED, *ids[1:]]

    def prompt(self, prompt: str) -> list[int]:
        return self.processor.drawing_ids(prompt, roles=self.roles)


def pad(rows: Sequence[tuple[list[int], list[int]]], pad_id: int, multiple: int = 8) -> Rows:
    """Rows of ids and targets -> tensors; targets move one place to the left, to where they are predicted from."""
    longest = max(len(ids) for ids, _ in rows)
    width = -(-longest // multiple) * multiple
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    targets = torch.full((len(rows), width), IGNORED, dtype=torch.long)
    for row, (tokens, wanted) in enumerate(rows):
        ids[row, : len(tokens)] = torch.tensor(tokens)
        targets[row, : len(wanted) - 1] = torch.tensor(wanted[1:])
    return Rows(ids, targets)


def similar_lengths(lengths: Sequence[int], most: int, spread: float = 1.6) -> list[list[int]]:
    """Rows in chunks of at most ``most`` whose lengths lie within a factor of ``spread``, longest first.

    Conversations differ in length by a factor of two and more: side by side, half of the products would be of pads.
    """
    chunks: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda k: (-lengths[k], k)):
        if chunks and len(chunks[-1]) < most and lengths[chunks[-1][0]] <= spread * lengths[row]:
            chunks[-1].append(row)
        else:
            chunks.append([row])
    return chunks


def text_loss(model: Reader, rows: Rows, pixels: Tensor | None, tokens: Tokens) -> Tensor:
    """Sum of the targets' cross-entropies; ``pixels`` ``[B, 3, S, S]`` fill the places of each row's image, if any."""
    x = model.embed_text(rows.ids)
    if pixels is not None:
        image = model.embed_images(pixels)
        x = x.masked_scatter(tokens.slots(rows.ids)[..., None], image.to(x.dtype))
    hidden = model.language(x)
    wanted = rows.targets != IGNORED
    # Logits over the whole vocabulary only where something is learned: they are the widest product of the step.
    return F.cross_entropy(model.text_logits(hidden[wanted]).float(), rows.targets[wanted], reduction="sum")


def split_batch(size: int, ratio: tuple[float, float, float], step: int) -> tuple[int, int, int]:
    """How many rows of each kind a step has: the ratio on average, whole numbers in every step, ``size`` in all."""
    total = sum(ratio)
    exact = [size * part / total for part in ratio]

    def upto(kind: int, steps: int) -> int:
        return int(exact[kind] * steps + 1e-9)

    first, second = (upto(kind, step + 1) - upto(kind, step) for kind in (0, 1))
    return first, second, size - first - second
