"""Choosing the next token: the most likely one, or one drawn from a random stream of the row's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

Pick: TypeAlias = Callable[[int, Tensor, Tensor], Tensor]
"""(step, rows ``[B]`` of the batch as it was given, their logits ``[B, V]``) -> chosen ids ``[B]``."""


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
