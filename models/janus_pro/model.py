"""Janus-Pro: one language model reads images through SigLIP and draws them as VQ codes (arXiv 2501.17811, section 2).

Shapes: B rows, T tokens, E hidden size, S image side, N image tokens of the understanding encoder, V codebook size.
Janus (arXiv 2410.13848) is the same architecture with other weights and chat roles. Sampling stands in ``sampling.py``,
the names of published weights in ``weights.py``.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from janus_eval.models.janus_pro.config import JanusProConfig, ProjectorConfig
from janus_eval.models.janus_pro.vq import VQTokenizer
from janus_eval.models.parts.linear import Linear
from janus_eval.models.parts.reader import Reader
from janus_eval.models.parts.siglip import Siglip


class JanusPro(Reader):
    def __init__(self, config: JanusProConfig) -> None:
        super().__init__(config.language)
        self.config = config
        self.vision = Siglip(config.vision)
        self.aligner = Projector(config.aligner)
        self.vq = VQTokenizer(config.vq)
        self.gen_embed = nn.Embedding(config.vq.codebook_size, config.vq.codebook_dim)
        self.gen_aligner = Projector(config.gen_aligner)
        self.gen_head = GenerationHead(config.language.hidden_size, config.gen_head_width, config.vq.codebook_size)

    def embed_images(self, pixels: Tensor) -> Tensor:
        """Normalised pixels ``[B, 3, S, S]`` -> understanding tokens ``[B, N, E]``."""
        embedded: Tensor = self.aligner(self.vision(pixels))
        return embedded

    def embed_codes(self, codes: Tensor) -> Tensor:
        """VQ code ids ``[..., T]`` -> ``[..., T, E]``. Not the tokenizer's codebook: a table of its own."""
        embedded: Tensor = self.gen_aligner(self.gen_embed(codes))
        return embedded

    def code_logits(self, hidden: Tensor) -> Tensor:
        """Hidden states ``[..., E]`` -> logits over the codebook ``[..., V]``."""
        logits: Tensor = self.gen_head(hidden)
        return logits


class Projector(nn.Module):
    """A linear layer, then ``depth - 1`` times GELU and another: the adaptors of Table 1."""

    def __init__(self, config: ProjectorConfig) -> None:
        super().__init__()
        inputs = [config.input_dim] + [config.output_dim] * (config.depth - 1)
        self.layers = nn.ModuleList(nn.Linear(width, config.output_dim) for width in inputs)

    def forward(self, x: Tensor) -> Tensor:
        for k, layer in enumerate(self.layers):
            x = layer(x if k == 0 else F.gelu(x))
        return x


class GenerationHead(nn.Module):
    def __init__(self, width: int, inner: int, codebook_size: int) -> None:
        super().__init__()
        self.proj = Linear(width, inner)
        self.out = Linear(inner, codebook_size)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(F.gelu(self.proj(x)))
