"""What every Janus model is before it draws: a decoder that reads texts and images.

Shapes: B rows, T tokens, E hidden size, S image side, N places that an image fills in a row.
"""

from __future__ import annotations

from torch import Tensor, nn

from janus_eval.models.parts.linear import Linear
from janus_eval.models.parts.llama import Llama, LlamaConfig
from janus_eval.models.parts.siglip import Siglip


class Reader(nn.Module):
    """A decoder with its two ends; a family adds the encoder of images and what brings its features to the decoder."""

    vision: Siglip
    aligner: nn.Module

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.language = Llama(config)
        self.lm_head = Linear(config.hidden_size, config.vocab_size, bias=False)
        self.tie()

    def tie(self) -> None:
        """One table for both ends, where the configuration says so; again after parameters were replaced."""
        if self.language.config.tie_word_embeddings:
            self.lm_head.weight = self.language.embed_tokens.weight

    def embed_text(self, ids: Tensor) -> Tensor:
        """Token ids ``[..., T]`` -> ``[..., T, E]``."""
        embedded: Tensor = self.language.embed_tokens(ids)
        return embedded

    def embed_images(self, pixels: Tensor) -> Tensor:
        """Normalised pixels ``[B, 3, S, S]`` -> what fills each image's places in a row, ``[B, N, E]``."""
        raise NotImplementedError

    def text_logits(self, hidden: Tensor) -> Tensor:
        """Hidden states ``[..., E]`` -> logits over the vocabulary."""
        logits: Tensor = self.lm_head(hidden)
        return logits
