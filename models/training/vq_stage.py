"""The stage before the three of the paper: an image tokenizer, for models small enough to have none to start from.

Straight-through quantization with L2-normalised codes and latents (arXiv 2110.04627), L1 + L2 reconstruction. The real
models' tokenizer is LlamaGen's, trained with a perceptual and an adversarial loss besides; at 64 px of flat colour
neither is needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from janus_eval.models.janus_pro.vq import VQTokenizer
from janus_eval.models.training.recipe import TokenizerStage


class VQStage:
    """One step of tokenizer training, with the counters that decide which codes are dead."""

    def __init__(self, tokenizer: VQTokenizer, stage: TokenizerStage, seed: int) -> None:
        self.tokenizer, self.stage, self.seed = tokenizer, stage, seed
        self.last_used = torch.zeros(tokenizer.config.codebook_size, dtype=torch.long)

    def step(self, index: int, images: Tensor) -> Mapping[str, float]:
        """Losses of images ``[B, 3, S, S]`` in [-1, 1]; leaves gradients."""
        tokenizer, stage = self.tokenizer, self.stage
        if index == stage.quantize_from > 0:
            self._fill(index, images)
        quantized = tokenizer.quantize(tokenizer.latents(images))
        rounding = index >= stage.quantize_from
        through = quantized.before + (quantized.after - quantized.before).detach() * rounding
        decoded = tokenizer.decode(through)
        l1, l2 = F.l1_loss(decoded, images), F.mse_loss(decoded, images)
        codebook = F.mse_loss(quantized.after, quantized.before.detach())
        commitment = F.mse_loss(quantized.before, quantized.after.detach())
        loss = stage.l1 * l1 + stage.l2 * l2
        if rounding:
            loss = loss + codebook + stage.commitment * commitment
        loss.backward()
        self.last_used[quantized.codes.unique()] = index
        due = (index + 1) % stage.revive_every == 0 and stage.quantize_from <= index < stage.revive_until * stage.steps
        if due:
            dead = (self.last_used <= index - stage.revive_every).nonzero().flatten()
            self._replace(index, dead, stage.revive_at_most, images, quantized.before.detach())
        alive = (self.last_used > index - stage.revive_every).float().mean()
        return {"l1": l1.item(), "l2": l2.item(), "commit": commitment.item(), "codes": alive.item()}

    def _fill(self, index: int, images: Tensor) -> None:
        """Put latents of the first rounded batch into the codebook, as many as there are."""
        with torch.no_grad():
            latents = F.normalize(self.tokenizer.latents(images), dim=1)
        every = torch.arange(len(self.last_used))
        self._replace(index, every, len(every), images, latents)

    def _replace(self, index: int, codes: Tensor, most: int, images: Tensor, latents: Tensor) -> None:
        """Replace up to ``most`` of ``codes`` by latents ``[B, D, G, G]`` of patches that show something, at random."""
        patch = self.tokenizer.config.downsampling
        patches = F.unfold(images, patch, stride=patch).transpose(1, 2).flatten(0, 1)
        lively = patches.std(-1) > self.stage.foreground
        pool = latents.movedim(1, -1).flatten(0, 2)[lively]
        count = min(len(codes), len(pool), most)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
        picked = torch.randperm(len(pool), generator=generator)[:count]
        chosen = codes[torch.randperm(len(codes), generator=generator)[:count]]
        with torch.no_grad():
            self.tokenizer.codebook.weight[chosen] = pool[picked]
        self.last_used[chosen] = index

    def extra_state(self) -> dict[str, Tensor]:
        return {"last_used": self.last_used}

    def load_extra(self, state: Mapping[str, Tensor]) -> None:
        self.last_used = state["last_used"]


def survival(tokenizer: VQTokenizer, images: Sequence[Tensor]) -> Tensor:
    """Images ``[3, S, S]`` through the tokenizer and back, ``[B, 3, S, S]``."""
    with torch.inference_mode():
        return tokenizer.decode_codes(tokenizer.encode(torch.stack(list(images))))
