"""Rows of any lengths side by side through the decoder: padded on the left, pads masked, each at its own positions.

Shapes: B rows, T new tokens, S tokens seen so far (T included), E hidden size, N image tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from janus_eval.models.parts.llama import KVCache, padded_causal_mask
from janus_eval.models.parts.reader import Reader


def left_pad(rows: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows of ids -> ids ``[B, T]`` padded on the left, and which of them are real ``[B, T]``."""
    longest = max(map(len, rows))
    ids = torch.tensor([[pad_id] * (longest - len(row)) + list(row) for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    return ids, torch.arange(longest, device=device) >= longest - lengths[:, None]


def new_cache(model: Reader, rows: int, capacity: int) -> KVCache:
    weight = model.lm_head.weight
    return KVCache(model.language.config, rows, capacity, device=weight.device, dtype=weight.dtype)


def forward_rows(model: Reader, x: Tensor, attended: Tensor, cache: KVCache | None = None) -> Tensor:
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


def forward_step(model: Reader, x: Tensor, cache: KVCache, positions: Tensor, seen: Tensor | None) -> Tensor:
    """One token a row, ``[B, 1, E]``, at ``positions`` ``[B, 1]`` -> hidden states ``[B, E]``."""
    if seen is None:
        return forward(model, x, cache)[:, 0]
    return forward(model, x, cache, positions, seen[..., : cache.length + 1])[:, 0]


def forward(
    model: Reader, x: Tensor, cache: KVCache | None, positions: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    hidden: Tensor = model.language(x, cache=cache, positions=positions, mask=mask)
    return hidden
