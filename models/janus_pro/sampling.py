"""Drawing with Janus-Pro: prompts of any lengths side by side, classifier-free guidance, one random stream an image.

Shapes: P images, R = 2P rows (conditional ones first, then unconditional), T prompt tokens, S tokens seen so far,
C codes an image, V codebook size, E hidden size.

A row is padded on the left and the pads are masked, so a prompt gives the same codes beside longer ones as alone. What
is *not* masked are the pad tokens that replace the text of an unconditional row: the published script attends to them
(arXiv 2501.17811 gives the formula, the repository's generation_inference.py the row).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.parts.linear import packed_weights
from janus_eval.models.parts.picking import Pick
from janus_eval.models.parts.rows import forward_rows, left_pad, new_cache
from janus_eval.models.parts.stepping import advancer


class Guided(NamedTuple):
    """Logits of one step, ``[P, V]`` each in float32."""

    conditional: Tensor
    unconditional: Tensor
    mixed: Tensor


class Drawn(NamedTuple):
    """Codes ``[P, C]``, and for each image the first step whose logits were not finite, or -1."""

    codes: Tensor
    broken: Tensor


def unconditional(prompt: Sequence[int], pad_id: int) -> list[int]:
    """The row that guidance is measured against: all but the first and the last token replaced by pads."""
    return [prompt[0], *[pad_id] * (len(prompt) - 2), prompt[-1]]


def draw_codes(
    model: JanusPro,
    prompts: Sequence[Sequence[int]],
    *,
    pad_id: int,
    count: int,
    guidance: float,
    pick: Pick,
    watch: Callable[[int, Guided], None] | None = None,
) -> Drawn:
    """Draw one image of ``count`` codes for each prompt (ids up to and with the token that starts an image).

    Next code of an image: uncond + guidance * (cond - uncond), then ``pick``. A prompt's keys and values are computed
    once however many images it gets, and the unconditional ones once for every prompt length. ``watch`` sees each
    step's logits.
    """
    images, device = len(prompts), model.lm_head.weight.device
    rows = [*map(list, prompts), *(unconditional(prompt, pad_id) for prompt in prompts)]
    table: dict[tuple[int, ...], int] = {}
    index = torch.tensor([table.setdefault(tuple(row), len(table)) for row in rows], device=device)
    ids, attended = left_pad(list(table), pad_id, device)
    prefix = new_cache(model, len(table), ids.shape[1])
    hidden = forward_rows(model, model.embed_text(ids), attended, prefix)[index, -1]
    codes = torch.zeros(images, count, dtype=torch.long, device=device)
    broken = torch.full((images,), -1, device=device)
    every = torch.arange(images, device=device)
    with packed_weights(model.language, model.gen_head):
        advance = advancer(model, prefix, index, attended[index], count - 1, model.code_logits)
        del prefix
        logits = model.code_logits(hidden)
        for step in range(count):
            conditional, free = logits.float().chunk(2)
            mixed = free + guidance * (conditional - free)
            codes[:, step] = chosen = pick(step, every, mixed)
            broken = torch.where((broken < 0) & ~mixed.isfinite().all(-1), step, broken)
            if watch is not None:
                watch(step, Guided(conditional, free, mixed))
            if step < count - 1:
                logits = advance(model.embed_codes(chosen).repeat(2, 1)[:, None])
    return Drawn(codes, broken)


def decode_pixels(model: JanusPro, codes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Codes ``[P, C]`` -> float32 images ``[P, 3, H, W]`` in about [-1, 1]; ``grid`` is (rows, columns).

    One at a time: the same codes then give the same bytes in every batch (convolutions over a batch may sum in another
    order), memory stays that of one image, and nothing is lost, since one image fills the processor.
    """
    return torch.cat([model.vq.decode_codes(image.view(1, *grid)).float() for image in codes])
