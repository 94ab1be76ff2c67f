"""JanusFlow: one language model reads images through SigLIP and draws them as velocities of a rectified flow.

Shapes: B rows, T tokens, E hidden size, S image side, N tokens of an image that is read, C latent channels, H x W
latents, h x w = M tokens of an image that is drawn. Source: arXiv 2411.07975, section 3. Sampling stands in
``flow.py``, the names of published weights in ``weights.py``.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from janus_eval.models.janus_flow.config import JanusFlowConfig
from janus_eval.models.janus_flow.uvit import GenDecoder, GenEncoder
from janus_eval.models.parts.llama import RMSNorm
from janus_eval.models.parts.reader import Reader
from janus_eval.models.parts.siglip import Siglip


class Noised(NamedTuple):
    """Latents at a time as the language model reads them, and what the decoder needs of the way there."""

    tokens: Tensor
    """``[B, 1 + M, E]``: the time, then the latents row by row."""
    skip: Tensor
    """``[B, D, h, w]``."""
    time: Tensor
    """``[B, E]``."""


class JanusFlow(Reader):
    def __init__(self, config: JanusFlowConfig) -> None:
        super().__init__(config.language)
        self.config = config
        hidden = config.language.hidden_size
        self.vision = Siglip(config.vision)
        self.aligner = nn.Linear(config.vision.width, hidden)
        self.begin = nn.Parameter(torch.zeros(1, hidden))
        self.gen_encoder = GenEncoder(config.gen_encoder, hidden)
        self.gen_encoder_aligner = nn.Linear(config.gen_encoder.width, hidden)
        self.gen_decoder = GenDecoder(config.gen_decoder, hidden)
        self.gen_decoder_norm = RMSNorm(hidden, config.language.rms_norm_eps)
        self.gen_decoder_aligner = nn.Linear(hidden, config.gen_decoder.width)

    def embed_images(self, pixels: Tensor) -> Tensor:
        """Normalised pixels ``[B, 3, S, S]`` -> ``[B, 1 + N, E]``: the learned begin of an image, then its patches.

        The first takes the place of the token that starts an image.
        """
        patches = self.aligner(self.vision(pixels))
        return torch.cat((self.begin.expand(len(patches), 1, -1).to(patches.dtype), patches), dim=1)

    def embed_latents(self, latents: Tensor, times: Tensor) -> Noised:
        """Latents ``[B, C, H, W]`` at times ``[B]``, which run from 0 (noise) to 1000 (image)."""
        features, time = self.gen_encoder(latents, times)
        tokens = self.gen_encoder_aligner(features.flatten(2).transpose(1, 2))
        return Noised(torch.cat((time[:, None], tokens), dim=1), features, time)

    def velocity(self, hidden: Tensor, skip: Tensor, time: Tensor) -> Tensor:
        """Hidden states of the latents' places ``[B, M, E]`` -> the latents' velocity ``[B, C, H, W]``."""
        x = self.gen_decoder_aligner(self.gen_decoder_norm(hidden))
        v: Tensor = self.gen_decoder(x.transpose(1, 2).unflatten(2, tuple(skip.shape[2:])), skip, time)
        return v
