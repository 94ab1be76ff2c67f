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
        quantized = tokenizer.quantize(tokenizer.latents(images))
        through = quantized.before + (quantized.after - quantized.before).detach()
        decoded = tokenizer.decode(through)
        l1, l2 = F.l1_loss(decoded, images), F.mse_loss(decoded, images)
        codebook = F.mse_loss(quantized.after, quantized.before.detach())
        commitment = F.mse_loss(quantized.before, quantized.after.detach())
        loss = stage.l1 * l1 + stage.l2 * l2 + codebook + stage.commitment * commitment
        loss.backward()
        self.last_used[quantized.codes.unique()] = index
        if (index + 1) % stage.revive_every == 0 and index < stage.revive_until * stage.steps:
            self._revive(index, images, quantized.before.detach())
        alive = (self.last_used > index - stage.revive_every).float().mean()
        return {"l1": l1.item(), "l2": l2.item(), "commit": commitment.item(), "codes": alive.item()}

    def _revive(self, index: int, images: Tensor, latents: Tensor) -> None:
        dead = (self.last_used <= index - self.stage.revive_every).nonzero().flatten()
        patch = self.tokenizer.config.downsampling
        patches = F.unfold(images, patch, stride=patch).transpose(1, 2).flatten(0, 1)
        lively = patches.std(-1) > self.stage.foreground
        pool = latents.movedim(1, -1).flatten(0, 2)[lively]
        count = min(len(dead), len(pool), self.stage.revive_at_most)
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
        picked = torch.randperm(len(pool), generator=generator)[:count]
        chosen = dead[torch.randperm(len(dead), generator=generator)[:count]]
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
