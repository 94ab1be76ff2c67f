"""The stage before JanusFlow's three: an autoencoder, for models small enough to have none to start from.

L1 + L2 reconstruction and a slight pull of the latents towards a normal distribution (arXiv 1312.6114). SDXL's was
trained with a perceptual and an adversarial loss besides; at 64 px of flat colour neither is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from janus_eval.models.training.drawing import generator
from janus_eval.models.training.recipe import VAEStage

IMAGES_MEASURED = 256
"""Images over which the latents' standard deviation is taken once the autoencoder is trained."""


def fresh_autoencoder(stage: VAEStage, seed: int) -> Any:
    """diffusers' AutoencoderKL (a library without types) with PyTorch's own initial weights, from this seed alone."""
    from diffusers import AutoencoderKL

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        build: Any = AutoencoderKL.from_config
        return build(stage.config)


def vae_step(module: Any, stage: VAEStage, seed: int, index: int, images: Tensor) -> Mapping[str, float]:
    """Losses of images ``[B, 3, S, S]`` in [-1, 1]; leaves gradients."""
    found = module.encode(images).latent_dist
    noise = torch.randn(found.mean.shape, generator=generator(seed, f"vae/{index}")).to(images.device)
    decoded = module.decode(found.mean + found.std * noise).sample
    l1, l2 = F.l1_loss(decoded, images), F.mse_loss(decoded, images)
    kl = 0.5 * (found.mean.square() + found.var - 1 - found.logvar).mean()
    (stage.l1 * l1 + stage.l2 * l2 + stage.kl * kl).backward()
    return {"l1": l1.item(), "l2": l2.item(), "kl": kl.item()}


@torch.no_grad()
def measured_scale(module: Any, images: Tensor) -> float:
    """What latents of these images must be multiplied by to have variance 1."""
    latents = torch.cat([module.encode(image[None]).latent_dist.mode() for image in images])
    return 1.0 / float(latents.std())
