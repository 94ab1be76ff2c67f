"""mPLUG as ModelScope runs it to answer questions: CLIP's picture encoder and three stacks of BERT's layers.

Architecture: "mPLUG: Effective and Efficient Vision-Language Learning by Cross-modal Skip-connections" (arXiv
2205.12005) and modelscope at 2905da1, ``models/multi_modal/mplug``. What depends on the picture alone is computed once
for all of its questions, so the picture's tensors have one row until a layer has mixed a question into them.

Shapes: P pictures, R their side, N tokens of a picture, W CLIP's width; Q questions of one picture, T tokens of a
question, H the text's width, h heads of d; K answers of a question that are being searched, L tokens of an answer.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from janus_eval.tasks.instruments.mplug.config import Config, TextSizes, VisionSizes


class Fused(NamedTuple):
    """A picture and its questions, each having looked at the other."""

    image: Tensor
    """[1 or Q, N, H]"""
    text: Tensor
    """[Q, T, H]"""
    real: Tensor
    """[Q, T] bool: which tokens are not padding."""


class KeyValues(NamedTuple):
    keys: Tensor
    """[rows, h, length, d]"""
    values: Tensor


class Memory(NamedTuple):
    """What an answering layer looks at, as keys and values: of the picture and of the questions."""

    image: KeyValues
    text: KeyValues
    real: Tensor

    def of(self, questions: Tensor) -> Memory:
        """Only those questions."""
        image, text = self.image, self.text
        if image.keys.shape[0] > 1:
            image = KeyValues(image.keys[questions], image.values[questions])
        return Memory(image, KeyValues(text.keys[questions], text.values[questions]), self.real[questions])


class MPlug(nn.Module):
    def __init__(self, config: Config) -> None:
        super().__init__()
        vision, text = config.vision, config.text
        self.config = config
        self.vision = Vision(vision)
        # ModelScope projects the features only where the widths differ; so it is in the published model.
        self.project = nn.Linear(vision.width, text.width) if vision.width != text.width else None
        self.project_norm = nn.LayerNorm(text.width, eps=1e-12) if self.project else None
        self.question = Embeddings(text)
        self.reading = nn.ModuleList(Layer(text, crosses=False) for _ in range(text.reading))
        self.fusing = nn.ModuleList(Layer(text, crosses=not text.joint(k)) for k in range(text.fusing))
        self.answer = Embeddings(text)
        self.answering = nn.ModuleList(Layer(text, crosses=True) for _ in range(text.answering))
        self.head = Head(text)

    def see(self, pixels: Tensor) -> Tensor:
        """Normalised pixels [P, 3, R, R] -> features [P, N, H]."""
        features = self.vision(pixels)
        if self.project is not None and self.project_norm is not None:
            features = self.project_norm(self.project(features))
        return features

    def read(self, ids: Tensor, real: Tensor) -> Tensor:
        """Questions by themselves: ids [Q, T] -> [Q, T, H]."""
        text, seen = self.question(ids), real[:, None, None]
        for layer in stack(self.reading):
            text = layer(text, seen)
        return text

    def fuse(self, image: Tensor, ids: Tensor, real: Tensor) -> Fused:
        """A picture's features [1, N, H] and its questions [Q, T]."""
        text, seen = self.read(ids, real), real[:, None, None]
        for layer in stack(self.fusing):
            if layer.crosses:
                text = layer(text, seen, layer.cross.remember(image))
                continue
            image = image.expand(len(text), -1, -1)
            both = F.pad(real, (image.shape[1], 0), value=True)[:, None, None]
            new, text = layer(torch.cat([image, text], 1), both).split([image.shape[1], text.shape[1]], 1)
            image = image + new
        return Fused(image, text, real)

    def remember(self, fused: Fused) -> list[Memory]:
        """What each answering layer will look at; it depends on no answer."""
        return [
            Memory(layer.cross.remember(fused.image), layer.cross.remember(fused.text), fused.real)
            for layer in stack(self.answering)
        ]

    def next_logits(self, ids: Tensor, memories: list[Memory]) -> Tensor:
        """Answers so far, [Q, K, L] -> logits of their next tokens, [Q, K, V]."""
        questions, beams, length = ids.shape
        states = self.answer(ids.flatten(0, 1))
        causal = torch.ones(length, length, dtype=torch.bool, device=ids.device).tril()
        for layer, memory in zip(stack(self.answering), memories, strict=True):
            # The answers to one question look at the same things: they stand in one row, one after the other.
            states = layer.after_self(states, causal)
            states = layer.cross.look(states.reshape(questions, beams * length, -1), *joined(memory, questions))
            states = layer.inner(states.reshape(questions * beams, length, -1))
        return self.head(states[:, -1]).unflatten(0, (questions, beams))


def stack(layers: nn.ModuleList) -> list[Layer]:
    return cast("list[Layer]", list(layers))


def joined(memory: Memory, questions: int) -> tuple[KeyValues, Tensor]:
    """Keys and values over a picture and each question, [Q, h, N + T, d]; which are seen, [Q, 1, 1, N + T]."""
    keys, values = (
        torch.cat([image.expand(questions, -1, -1, -1), text], 2)
        for image, text in zip(memory.image, memory.text, strict=True)
    )
    return KeyValues(keys, values), F.pad(memory.real, (memory.image.keys.shape[2], 0), value=True)[:, None, None]


class Vision(nn.Module):
    def __init__(self, sizes: VisionSizes) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, sizes.width, sizes.patch, stride=sizes.patch, bias=False)
        self.first = nn.Parameter(torch.zeros(sizes.width))
        self.positions = nn.Parameter(torch.zeros(sizes.tokens, sizes.width))
        self.norm_before = nn.LayerNorm(sizes.width)
        self.blocks = nn.ModuleList(VisionBlock(sizes) for _ in range(sizes.layers))
        self.norm_after = nn.LayerNorm(sizes.width)

    def forward(self, pixels: Tensor) -> Tensor:
        """[P, 3, R, R] -> [P, N, W], the class token first, then the patches row by row."""
        patches = self.patches(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(pixels), 1, -1), patches], 1) + self.positions
        x = self.norm_before(x)
        for block in self.blocks:
            x = block(x)
        return self.norm_after(x)


class VisionBlock(nn.Module):
    def __init__(self, sizes: VisionSizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.norm1 = nn.LayerNorm(sizes.width)
        self.qkv = nn.Linear(sizes.width, 3 * sizes.width)
        self.out = nn.Linear(sizes.width, sizes.width)
        self.norm2 = nn.LayerNorm(sizes.width)
        self.inner = nn.Linear(sizes.width, 4 * sizes.width)
        self.outer = nn.Linear(4 * sizes.width, sizes.width)

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = (apart(part, self.heads) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        x = x + self.out(together(F.scaled_dot_product_attention(queries, keys, values)))
        return x + self.outer(quick_gelu(self.inner(self.norm2(x))))


class Embeddings(nn.Module):
    """Of tokens, by their place; all are of BERT's first type."""

    def __init__(self, sizes: TextSizes) -> None:
        super().__init__()
        self.words = nn.Embedding(sizes.vocabulary, sizes.width)
        self.positions = nn.Embedding(sizes.positions, sizes.width)
        self.types = nn.Embedding(sizes.types, sizes.width)
        self.norm = nn.LayerNorm(sizes.width, eps=sizes.eps)

    def forward(self, ids: Tensor) -> Tensor:
        return self.norm(self.words(ids) + self.types.weight[0] + self.positions.weight[: ids.shape[1]])


class Layer(nn.Module):
    """One of BERT's: attention to itself, then perhaps to something else, then two linear maps; a norm after each."""

    def __init__(self, sizes: TextSizes, *, crosses: bool) -> None:
        super().__init__()
        self.crosses = crosses
        self.attention = Attention(sizes)
        if crosses:
            self.cross = Attention(sizes)
        self.inner = FeedForward(sizes)

    def forward(self, states: Tensor, seen: Tensor, other: KeyValues | None = None) -> Tensor:
        """``seen``: which of the states may be looked at, as a mask over [rows, h, length, length]."""
        states = self.after_self(states, seen)
        if other is not None:
            states = self.cross.look(states, other)
        return self.inner(states)

    def after_self(self, states: Tensor, seen: Tensor) -> Tensor:
        return self.attention.look(states, self.attention.remember(states), seen)


class Attention(nn.Module):
    def __init__(self, sizes: TextSizes) -> None:
        super().__init__()
        self.heads = sizes.heads
        self.query = nn.Linear(sizes.width, sizes.width)
        self.key = nn.Linear(sizes.width, sizes.width)
        self.value = nn.Linear(sizes.width, sizes.width)
        self.out = nn.Linear(sizes.width, sizes.width)
        self.norm = nn.LayerNorm(sizes.width, eps=sizes.eps)

    def remember(self, states: Tensor) -> KeyValues:
        return KeyValues(apart(self.key(states), self.heads), apart(self.value(states), self.heads))

    def look(self, states: Tensor, at: KeyValues, seen: Tensor | None = None) -> Tensor:
        """[rows, length, H], at keys and values of as many rows, or of one row that serves all."""
        queries = apart(self.query(states), self.heads)
        shared = at.keys.shape[0] == 1 and seen is None
        if shared:  # as one row of all of them: one large product in place of many
            queries = queries.transpose(0, 1).flatten(1, 2)[None]
        found = F.scaled_dot_product_attention(queries, at.keys, at.values, attn_mask=seen)
        if shared:
            found = found[0].unflatten(1, states.shape[:2]).transpose(0, 1)
        return self.norm(states + self.out(together(found)))


class FeedForward(nn.Module):
    def __init__(self, sizes: TextSizes) -> None:
        super().__init__()
        self.inner = nn.Linear(sizes.width, sizes.inner)
        self.outer = nn.Linear(sizes.inner, sizes.width)
        self.norm = nn.LayerNorm(sizes.width, eps=sizes.eps)

    def forward(self, states: Tensor) -> Tensor:
        return self.norm(states + self.outer(F.gelu(self.inner(states))))


class Head(nn.Module):
    """From a state to the logits of a token. The last map is also the embedding of an answer's words."""

    def __init__(self, sizes: TextSizes) -> None:
        super().__init__()
        self.dense = nn.Linear(sizes.width, sizes.width)
        self.norm = nn.LayerNorm(sizes.width, eps=sizes.eps)
        self.words = nn.Linear(sizes.width, sizes.vocabulary)

    def forward(self, states: Tensor) -> Tensor:
        return self.words(self.norm(F.gelu(self.dense(states))))


def apart(states: Tensor, heads: int) -> Tensor:
    """[rows, length, H] -> [rows, h, length, d]"""
    return states.unflatten(-1, (heads, -1)).transpose(1, 2)


def together(heads: Tensor) -> Tensor:
    """[rows, h, length, d] -> [rows, length, H]"""
    return heads.transpose(1, 2).flatten(2)


def quick_gelu(x: Tensor) -> Tensor:
    """CLIP's activation. Its weights were trained with it; the exact GELU would shift every feature."""
    return x * torch.sigmoid(1.702 * x)
