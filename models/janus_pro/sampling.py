"""Drawing with Janus-Pro: prompts of any lengths side by side, classifier-free guidance, one random stream an image.

Shapes: P images, R = 2P rows (conditional ones first, then unconditional), T prompt tokens, S tokens seen so far,
C codes an image, V codebook size, E hidden size.

A row is padded on the left and the pads are masked, so a prompt gives the same codes beside longer ones as alone. What
is *not* masked are the pad tokens that replace the text of an unconditional row: the published script attends to them
(arXiv 2501.17811 gives the formula, the repository's generation_inference.py the row).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.parts.linear import packed_weights
from janus_eval.models.parts.llama import KVCache, padded_causal_mask

Pick: TypeAlias = Callable[[int, Tensor, Tensor], Tensor]
"""(step, rows ``[B]`` of the batch as it was given, their logits ``[B, V]``) -> chosen ids ``[B]``."""


class Guided(NamedTuple):
    """Logits of one step, ``[P, V]`` each in float32."""

    conditional: Tensor
    unconditional: Tensor
    mixed: Tensor


class Drawn(NamedTuple):
    """Codes ``[P, C]``, and for each image the first step whose logits were not finite, or -1."""

    codes: Tensor
    broken: Tensor


def greedy(step: int, rows: Tensor, logits: Tensor) -> Tensor:
    """The most likely id: temperature 0."""
    return logits.argmax(-1)


class InverseCDF:
    """Draw from softmax(logits / temperature) with one uniform a row and step.

    Each row's uniforms come from a CPU generator seeded with the row's own seed, all drawn before the first step, so
    they depend on neither the batch nor the device. The sums run in float64: in float32 the rounding of a cumulative
    sum over 16,384 codes is as large as the rarer probabilities, and the order of summation would choose.
    """

    def __init__(self, seeds: Sequence[int], steps: int, temperature: float, device: torch.device) -> None:
        assert temperature > 0
        self.temperature = temperature
        generators = (torch.Generator().manual_seed(seed) for seed in seeds)
        uniforms = [torch.rand(steps, generator=generator, dtype=torch.float64) for generator in generators]
        self.uniforms = torch.stack(uniforms).to(device)

    def __call__(self, step: int, rows: Tensor, logits: Tensor) -> Tensor:
        scaled = logits.double() / self.temperature
        heights = (scaled - scaled.amax(-1, keepdim=True)).exp_().cumsum(-1)
        # The first id whose cumulative weight exceeds u times the total weight.
        target = self.uniforms[rows, step, None] * heights[:, -1:]
        return torch.searchsorted(heights, target, right=True)[:, 0].clamp_(max=logits.shape[-1] - 1)


def picker(seeds: Sequence[int], steps: int, temperature: float, device: torch.device) -> Pick:
    """Greedy at temperature 0, else sampled."""
    return InverseCDF(seeds, steps, temperature, device) if temperature > 0 else greedy


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
    length = ids.shape[1]
    prefix = new_cache(model, len(table), length)
    hidden = forward_rows(model, model.embed_text(ids), attended, prefix)[index, -1]
    cache = new_cache(model, len(rows), length + count - 1)
    cache.fill_from(prefix, index)
    del prefix
    seen = decoding_mask(attended[index], count - 1)
    lengths = attended[index].sum(-1, keepdim=True)
    codes = torch.zeros(images, count, dtype=torch.long, device=device)
    broken = torch.full((images,), -1, device=device)
    every = torch.arange(images, device=device)
    with packed_weights(model.language, model.gen_head):
        for step in range(count):
            conditional, free = model.code_logits(hidden).float().chunk(2)
            mixed = free + guidance * (conditional - free)
            codes[:, step] = chosen = pick(step, every, mixed)
            broken = torch.where((broken < 0) & ~mixed.isfinite().all(-1), step, broken)
            if watch is not None:
                watch(step, Guided(conditional, free, mixed))
            if step < count - 1:
                x = model.embed_codes(chosen).repeat(2, 1)[:, None]
                hidden = forward_step(model, x, cache, lengths + step, seen)
    return Drawn(codes, broken)


def decode_pixels(model: JanusPro, codes: Tensor, grid: tuple[int, int]) -> Tensor:
    """Codes ``[P, C]`` -> float32 images ``[P, 3, H, W]`` in about [-1, 1]; ``grid`` is (rows, columns).

    One at a time: the same codes then give the same bytes in every batch (convolutions over a batch may sum in another
    order), memory stays that of one image, and nothing is lost, since one image fills the processor.
    """
    return torch.cat([model.vq.decode_codes(image.view(1, *grid)).float() for image in codes])


def to_bytes(pixels: Tensor) -> np.ndarray:
    """Images ``[P, 3, H, W]`` about [-1, 1] -> bytes ``[P, H, W, 3]``, clipped and truncated (not rounded)."""
    scaled = ((pixels.float() + 1) / 2 * 255).clamp(0, 255)
    found: np.ndarray = scaled.to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    return found


def left_pad(rows: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of ids -> ids ``[B, T]`` padded on the left, and which of them are real ``[B, T]``."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad_id] * (longest - len(row)) + list(row) for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, torch.arange(longest, device=device) >= longest - lengths[:, None]


def new_cache(model: JanusPro, rows: int, capacity: int) -> KVCache:
    weight = model.lm_head.weight
    return KVCache(model.config.language, rows, capacity, device=weight.device, dtype=weight.dtype)


def forward_rows(model: JanusPro, x: Tensor, attended: Tensor, cache: KVCache | None = None) -> Tensor:
    """Embeddings ``[B, T, E]`` of the last T of the tokens in ``attended`` ``[B, S]`` -> hidden states ``[B, T, E]``.

    ``attended`` marks the real ones among all tokens so far; a row's positions count those alone.
    """
    if bool(attended.all()):
        return forward(model, x, cache)
    tokens = x.shape[1]
    positions = (attended.cumsum(-1) - 1).clamp_(min=0)[:, -tokens:]
    return forward(model, x, cache, positions, padded_causal_mask(attended, tokens))


def decoding_mask(attended: Tensor, steps: int) -> Tensor | None:
    """Which tokens later steps may see, ``[B, 1, 1, S + steps]``; None where nothing is padded."""
    if bool(attended.all()):
        return None
    rows = attended.shape[0]
    return torch.cat((attended, attended.new_ones(rows, steps)), dim=1)[:, None, None]


def forward_step(model: JanusPro, x: Tensor, cache: KVCache, positions: Tensor, seen: Tensor | None) -> Tensor:
    """One token a row, ``[B, 1, E]``, at ``positions`` ``[B, 1]`` -> hidden states ``[B, E]``."""
    if seen is None:
        return forward(model, x, cache)[:, 0]
    return forward(model, x, cache, positions, seen[..., : cache.length + 1])[:, 0]


def forward(
    model: JanusPro, x: Tensor, cache: KVCache | None, positions: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    hidden: Tensor = model.language(x, cache=cache, positions=positions, mask=mask)
    return hidden
