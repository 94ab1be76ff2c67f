"""Answering: questions about one image share one computation of everything up to the image's end.

Shapes: B rows, K distinct images, N image tokens, P prefix tokens, T suffix tokens, S tokens seen so far, V vocabulary.

A prompt is cut after its last image token. Each distinct first part (system prompt, role, images) is read once; its
keys and values are copied to the rows of all its questions, and only the second parts are read row by row. Both parts
are padded on the left and masked, so a row sees exactly its own tokens, at the positions they have when it is alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from janus_eval.models.parts.llama import KVCache
from janus_eval.models.parts.picking import Pick
from janus_eval.models.parts.reader import Reader
from janus_eval.models.parts.rows import decoding_mask, forward_rows, forward_step, left_pad, new_cache

IMAGES_AT_ONCE = 16


class Prompt(NamedTuple):
    """Token ids, and the keys of the images that fill its placeholders, in order."""

    ids: tuple[int, ...]
    images: tuple[str, ...] = ()

    def cut(self, image_id: int) -> int:
        """Length of the part up to and with the last image token; 0 without images."""
        return next((k + 1 for k in range(len(self.ids) - 1, -1, -1) if self.ids[k] == image_id), 0)


@dataclass(frozen=True)
class Tokens:
    """Ids that mean something to the reader of prompts."""

    image: int
    pad: int
    eos: int
    image_start: int | None = None
    """Given where what an image is read as begins in the place of the token before it, as JanusFlow has it."""

    def slots(self, ids: Tensor) -> Tensor:
        """Where images stand in rows of ids, ``[B, T]`` boolean."""
        slots = ids == self.image
        return slots if self.image_start is None else slots | (ids == self.image_start)


class Read(NamedTuple):
    """Prompts that were read: hidden states of their second parts ``[B, T, E]``, everything's cache, what is real."""

    hidden: Tensor
    cache: KVCache
    attended: Tensor


class Generated(NamedTuple):
    """New ids, the end token included where it was reached; ``broken`` is the first step with infinite logits or -1."""

    ids: list[int]
    stopped: bool
    broken: int


def embed_images(model: Reader, pixels: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pixels ``[3, S, S]`` by key -> image tokens ``[N, E]`` by key."""
    weight = model.lm_head.weight
    found: dict[str, Tensor] = {}
    keys = list(pixels)
    for start in range(0, len(keys), IMAGES_AT_ONCE):
        part = keys[start : start + IMAGES_AT_ONCE]
        batch = torch.stack([pixels[key] for key in part]).to(weight.device, weight.dtype)
        found |= dict(zip(part, model.embed_images(batch), strict=True))
    return found


def embed_rows(model: Reader, ids: Tensor, tokens: Tokens, images: Sequence[Tensor]) -> Tensor:
    """Token ids ``[B, T]`` -> embeddings ``[B, T, E]``; ``images`` ``[N, E]`` fill their places in reading order."""
    x = model.embed_text(ids)
    if images:
        x[tokens.slots(ids)] = torch.cat(list(images)).to(x.dtype)
    return x


def read_prompts(
    model: Reader, prompts: Sequence[Prompt], images: Mapping[str, Tensor], tokens: Tokens, *, room: int
) -> Read:
    """Read prompts into a cache with ``room`` for more tokens, each distinct first part once."""
    device = model.lm_head.weight.device
    cuts = [prompt.cut(tokens.image) for prompt in prompts]
    table: dict[Prompt, int] = {}
    firsts = [Prompt(prompt.ids[:cut], prompt.images) for prompt, cut in zip(prompts, cuts, strict=True)]
    index = torch.tensor([table.setdefault(first, len(table)) for first in firsts], device=device)
    ids, real = left_pad([prompt.ids[cut:] for prompt, cut in zip(prompts, cuts, strict=True)], tokens.pad, device)
    longest = max(cuts)
    cache = new_cache(model, len(prompts), longest + ids.shape[1] + room)
    if longest > 0:
        first_ids, attended = left_pad([first.ids for first in table], tokens.pad, device)
        fill = [images[key] for first in table for key in first.images]
        prefix = new_cache(model, len(table), longest)
        forward_rows(model, embed_rows(model, first_ids, tokens, fill), attended, prefix)
        cache.fill_from(prefix, index)
        real = torch.cat((attended[index], real), dim=1)
    return Read(forward_rows(model, model.embed_text(ids), real, cache), cache, real)


def generate(
    model: Reader,
    prompts: Sequence[Prompt],
    images: Mapping[str, Tensor],
    tokens: Tokens,
    *,
    limits: Sequence[int],
    pick: Pick,
) -> list[Generated]:
    """Continue each prompt until the end token or its limit of new tokens (at least 1)."""
    read = read_prompts(model, prompts, images, tokens, room=max(limits) - 1)
    device, cache = read.hidden.device, read.cache
    hidden = read.hidden[:, -1]
    seen = decoding_mask(read.attended, max(limits) - 1)
    lengths = read.attended.sum(-1, keepdim=True)
    found: list[list[int]] = [[] for _ in prompts]
    broken = [-1] * len(prompts)
    ended: set[int] = set()
    rows = list(range(len(prompts)))
    for step in range(max(limits)):
        logits = model.text_logits(hidden).float()
        chosen = pick(step, torch.tensor(rows, device=device), logits)
        finite = logits.isfinite().all(-1).tolist()
        for row, token, sound in zip(rows, chosen.tolist(), finite, strict=True):
            if row in ended:
                continue
            found[row].append(token)
            broken[row] = broken[row] if sound else step
            if token == tokens.eos or not sound or step + 1 == limits[row]:
                ended.add(row)
        alive = [k for k, row in enumerate(rows) if row not in ended]
        if not alive:
            break
        if len(alive) <= len(rows) // 2:
            # Half of the rows have ended: go on with a smaller batch.
            kept = torch.tensor(alive, device=device)
            smaller = new_cache(model, len(alive), cache.capacity)
            smaller.fill_from(cache, kept)
            cache, chosen, lengths = smaller, chosen[kept], lengths[kept]
            seen = None if seen is None else seen[kept]
            rows = [rows[k] for k in alive]
        hidden = forward_step(model, model.embed_text(chosen)[:, None], cache, lengths + step, seen)
    return [Generated(ids, ids[-1] == tokens.eos, bad) for ids, bad in zip(found, broken, strict=True)]


class Continued(NamedTuple):
    """What the model makes of a text as the beginning of its answer."""

    likelihood: float
    """Log-likelihood in nats, summed over its tokens; NaN where the logits are."""
    tokens: int
    greedy: bool
    """Whether it is what greedy decoding would say."""


def continued(
    model: Reader,
    prompts: Sequence[Prompt],
    continuations: Sequence[Sequence[int]],
    images: Mapping[str, Tensor],
    tokens: Tokens,
) -> list[Continued]:
    """One for each row's continuation (sums in float64)."""
    longest = max(map(len, continuations))
    rows = [Prompt((*p.ids, *c[:-1]), p.images) for p, c in zip(prompts, continuations, strict=True)]
    hidden = read_prompts(model, rows, images, tokens, room=0).hidden[:, -longest:]
    # Padded on the left like the rows themselves: the last places predict the continuation, whatever its length.
    targets, real = left_pad(continuations, tokens.pad, hidden.device)
    logits = model.text_logits(hidden).double().log_softmax(-1)
    chosen = logits.gather(-1, targets[..., None])[..., 0]
    sums = chosen.masked_fill(~real, 0.0).sum(-1).tolist()
    greedy = ((logits.argmax(-1) == targets) | ~real).all(-1).tolist()
    return [Continued(*row) for row in zip(sums, map(len, continuations), greedy, strict=True)]
