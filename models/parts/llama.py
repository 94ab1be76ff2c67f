"""Llama decoder with a key/value cache that is allocated once.

Shapes: B rows, T new tokens, S tokens seen so far (T included), E hidden size, H heads, K key/value heads, D head size.
Source: "LLaMA" (arXiv 2302.13971); DeepSeek-LLM (arXiv 2401.02954) is the same architecture.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from janus_eval.models.parts.linear import Linear


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes of a Llama decoder. Defaults are those of transformers' LlamaConfig: real configurations leave keys out."""

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 32
    head_dim: int = 128
    max_position_embeddings: int = 2048
    rms_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    tie_word_embeddings: bool = False


class KVCache:
    """Keys and values of every layer, ``[L, 2, B, K, S, D]``, allocated once for ``capacity`` tokens a row."""

    def __init__(
        self, config: LlamaConfig, rows: int, capacity: int, *, device: torch.device, dtype: torch.dtype
    ) -> None:
        shape = (config.num_hidden_layers, 2, rows, config.num_key_value_heads, capacity, config.head_dim)
        self.data = torch.empty(shape, device=device, dtype=dtype)
        self.length = 0

    @property
    def rows(self) -> int:
        return self.data.shape[2]

    @property
    def capacity(self) -> int:
        return self.data.shape[4]

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write T new keys and values ``[B, K, T, D]`` of one layer; return all so far, ``[B, K, S, D]`` views."""
        end = self.length + keys.shape[2]
        assert end <= self.capacity, f"the cache holds {self.capacity} tokens a row; {end} asked for"
        slots = self.data[layer]
        slots[0, :, :, self.length : end] = keys
        slots[1, :, :, self.length : end] = values
        return slots[0, :, :, :end], slots[1, :, :, :end]

    def advance(self, tokens: int) -> None:
        """Called once a forward pass, after every layer has appended."""
        self.length += tokens

    def fill_from(self, other: KVCache, rows: Tensor) -> None:
        """Start with what ``other`` holds: row i of this cache becomes row ``rows[i]`` of the other."""
        self.length = other.length
        for row, source in enumerate(rows.tolist()):  # one by one: no second copy of the whole in between
            self.data[:, :, row, :, : other.length] = other.data[:, :, source, :, : other.length]


class Llama(nn.Module):
    """The decoder without its output head."""

    def __init__(self, config: LlamaConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(Block(config, index) for index in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(
        self,
        x: Tensor,
        *,
        cache: KVCache | None = None,
        positions: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Embeddings ``[B, T, E]`` -> hidden states after the final norm ``[B, T, E]``.

        ``positions`` ``[T]`` or ``[B, T]``, by default counted on from the cache. ``mask``, boolean
        ``[B or 1, 1, T, S]``, is True where attention is allowed, and then says everything; None means causal with
        nothing padded.
        """
        past = cache.length if cache is not None else 0
        tokens = x.shape[1]
        if positions is None:
            positions = torch.arange(past, past + tokens, device=x.device)
        rotation = rotary(positions, self.config.head_dim, self.config.rope_theta, x.dtype)
        causal = mask is None and tokens > 1
        if causal and past > 0:
            mask = causal_mask(tokens, past, x.device)
            causal = False
        for layer in self.layers:
            x = layer(x, rotation, cache, mask, causal)
        if cache is not None:
            cache.advance(tokens)
        return self.norm(x)


class Block(nn.Module):
    def __init__(self, config: LlamaConfig, index: int) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attention = Attention(config, index)
        self.mlp_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = SwiGLU(config.hidden_size, config.intermediate_size)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], cache: KVCache | None, mask: Tensor | None, causal: bool
    ) -> Tensor:
        x = x + self.attention(self.attention_norm(x), rotation, cache, mask, causal)
        return x + self.mlp(self.mlp_norm(x))


class Attention(nn.Module):
    def __init__(self, config: LlamaConfig, index: int) -> None:
        super().__init__()
        self.index = index
        self.heads, self.kv_heads, self.head_dim = (
            config.num_attention_heads,
            config.num_key_value_heads,
            config.head_dim,
        )
        # One product for queries, keys and values: at a few rows, the time goes into starting products.
        self.qkv = Linear(config.hidden_size, (self.heads + 2 * self.kv_heads) * self.head_dim, bias=False)
        self.out = Linear(self.heads * self.head_dim, config.hidden_size, bias=False)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], cache: KVCache | None, mask: Tensor | None, causal: bool
    ) -> Tensor:
        rows, tokens, _ = x.shape
        qkv = self.qkv(x).view(rows, tokens, self.heads + 2 * self.kv_heads, self.head_dim).transpose(1, 2)
        turned = rotate(qkv[:, : self.heads + self.kv_heads], rotation)
        queries, keys = turned[:, : self.heads], turned[:, self.heads :]
        values = qkv[:, self.heads + self.kv_heads :]
        if cache is not None:
            keys, values = cache.append(self.index, keys, values)
        attended = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask, is_causal=causal, enable_gqa=self.heads != self.kv_heads
        )
        return self.out(attended.transpose(1, 2).reshape(rows, tokens, -1))


class SwiGLU(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.gate_up = Linear(width, 2 * inner, bias=False)
        self.down = Linear(inner, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate) * up)


class RMSNorm(nn.Module):
    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        # The mean square is taken in float32 whatever the weights are, as the published models were trained.
        return self.weight * F.rms_norm(x.float(), (x.shape[-1],), None, self.eps).to(x.dtype)


def rotary(positions: Tensor, head_dim: int, theta: float, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosines and sines ``[..., T, D]`` of the rotary embedding (arXiv 2104.09864), computed in float32."""
    exponents = torch.arange(0, head_dim, 2, device=positions.device, dtype=torch.float32) / head_dim
    angles = positions[..., None].float() * (1.0 / theta**exponents)
    angles = torch.cat((angles, angles), dim=-1)
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    return (cos, sin) if positions.ndim == 1 else (cos[:, None], sin[:, None])


def rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn ``[B, H, T, D]`` by its positions; the two halves of D are the two coordinates, as Llama has it."""
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


def causal_mask(tokens: int, past: int, device: torch.device) -> Tensor:
    """Boolean ``[1, 1, T, S]``: token t of the new ones sees all of the past and the new ones up to itself."""
    ones = torch.ones(tokens, past + tokens, dtype=torch.bool, device=device)
    return ones.tril(diagonal=past)[None, None]


def padded_causal_mask(attended: Tensor, tokens: int) -> Tensor:
    """Boolean ``[B, 1, T, S]`` from ``attended`` ``[B, S]`` (True = a real token): causal, pads seen by nobody.

    A pad sees itself, so that no row of the softmax is empty (its NaN would spread through the values).
    """
    seen = attended.shape[1]
    mask = causal_mask(tokens, seen - tokens, attended.device) & attended[:, None, None, :]
    own = torch.zeros(tokens, seen, dtype=torch.bool, device=attended.device)
    own[:, seen - tokens :] = torch.eye(tokens, dtype=torch.bool, device=attended.device)
    return mask | own
