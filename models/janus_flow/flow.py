"""Drawing with JanusFlow: Euler steps from noise to latents, guided, prompts of any lengths side by side.

Shapes: P images, R = 2P rows (conditional ones first, then unconditional), L prompt tokens (without the last, whose
place the time takes), M tokens of a picture, C latent channels, H x W latents, E hidden size.

The unconditional row has the prompt's first token, then nothing that attention may see up to the time, which stands
where it stands in the conditional row: its place, and with it the picture, depends on the prompt's length. The
published demo writes pads there and masks them (deepseek-ai/Janus, demo/app_janusflow.py); leaving them out gives the
same numbers and saves their computation. So does keeping the prompt's keys and values, which no step changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from janus_eval.models.janus_flow.model import JanusFlow, Noised
from janus_eval.models.parts.llama import KVCache, padded_causal_mask
from janus_eval.models.parts.rows import forward_rows, left_pad, new_cache


class Velocities(NamedTuple):
    """One step: velocities ``[P, C, H, W]`` each in float32, and the latents after it."""

    conditional: Tensor
    unconditional: Tensor
    mixed: Tensor
    latents: Tensor


class Flowed(NamedTuple):
    """Latents ``[P, C, H, W]`` in float32, and for each image the first step whose velocity was not finite, or -1."""

    latents: Tensor
    broken: Tensor


class Conditions:
    """Prompts and their unconditional rows, read once; ``velocities`` may then be asked at any time and latents."""

    def __init__(self, model: JanusFlow, prompts: Sequence[Sequence[int]], tokens: int, *, pad_id: int) -> None:
        """``prompts``: ids up to and with the token that starts an image; ``tokens``: of a picture, M."""
        self.model = model
        device = model.lm_head.weight.device
        rows = [*(tuple(prompt[:-1]) for prompt in prompts), *(tuple(prompt[:1]) for prompt in prompts)]
        table: dict[tuple[int, ...], int] = {}
        index = torch.tensor([table.setdefault(row, len(table)) for row in rows], device=device)
        ids, attended = left_pad(list(table), pad_id, device)
        self.length = ids.shape[1]
        prefix = new_cache(model, len(table), self.length)
        forward_rows(model, model.embed_text(ids), attended, prefix)
        self.cache: KVCache = new_cache(model, len(rows), self.length + 1 + tokens)
        self.cache.fill_from(prefix, index)
        seen = torch.cat((attended[index], attended.new_ones(len(rows), 1 + tokens)), dim=1)
        self.mask = padded_causal_mask(seen, 1 + tokens)
        starts = torch.tensor([len(prompt) - 1 for prompt in prompts] * 2, device=device)
        self.positions = starts[:, None] + torch.arange(1 + tokens, device=device)

    def velocities(self, latents: Tensor, time: float) -> tuple[Tensor, Tensor]:
        """Of latents ``[P, C, H, W]`` at ``time`` (0 to 1000): conditional and unconditional, in float32."""
        model = self.model
        noised = self.noised(latents, time)
        x = noised.tokens.repeat(2, 1, 1)
        hidden = model.language(x, cache=self.cache, positions=self.positions, mask=self.mask)
        self.cache.length = self.length  # the next step writes over this one's keys and values
        skip, times = noised.skip.repeat(2, 1, 1, 1), noised.time.repeat(2, 1)
        conditional, free = model.velocity(hidden[:, 1:], skip, times).float().chunk(2)
        return conditional, free

    def noised(self, latents: Tensor, time: float) -> Noised:
        """Both rows of an image hold the same latents: they are encoded once."""
        weight = self.model.lm_head.weight
        times = torch.full((len(latents),), time, device=weight.device)
        return self.model.embed_latents(latents.to(weight.device, weight.dtype), times)


def draw_latents(
    model: JanusFlow,
    prompts: Sequence[Sequence[int]],
    noise: Tensor,
    *,
    pad_id: int,
    guidance: float,
    steps: int,
    watch: Callable[[int, Velocities], None] | None = None,
) -> Flowed:
    """Follow the flow from ``noise`` ``[P, C, H, W]`` in so many Euler steps of one length.

    Velocity: ``guidance * conditional + (1 - guidance) * unconditional`` (section 3.3). The latents are kept in float32
    whatever the model's type: a step adds a thirtieth of a velocity, and bfloat16 has three digits. ``watch`` sees
    each step.
    """
    latents = noise.float().to(model.lm_head.weight.device)
    height, width = latents.shape[2:]
    encoder = model.config.gen_encoder
    conditions = Conditions(model, prompts, encoder.grid(height) * encoder.grid(width), pad_id=pad_id)
    broken = torch.full((len(prompts),), -1, device=latents.device)
    for step in range(steps):
        conditional, free = conditions.velocities(latents, 1000 * step / steps)
        mixed = guidance * conditional - (guidance - 1) * free
        latents = latents + mixed / steps
        broken = torch.where((broken < 0) & ~mixed.isfinite().flatten(1).all(1), step, broken)
        if watch is not None:
            watch(step, Velocities(conditional, free, mixed, latents))
        if bool((broken >= 0).all()):
            break
    return Flowed(latents, broken)


def noise_of(seeds: Sequence[int], shape: tuple[int, int, int]) -> Tensor:
    """Normal noise ``[P, C, H, W]``, each image's from a CPU generator with its own seed."""
    return torch.stack([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
