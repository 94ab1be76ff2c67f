"""One token a row, again and again: how a drawing's rows go through the decoder.

On a GPU a step of a few rows is over sooner than Python has started its six hundred kernels, so there a step is
recorded once as a CUDA graph and replayed. A recorded step has fixed shapes: it writes its keys and values where a
tensor on the device points, and reads the cache up to a span that is a multiple of ``SPAN``, masked beyond what was
written. Its products are those of a plain step; only the sums of attention may be taken in another order.

Shapes: B rows, S tokens read so far, E hidden size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from janus_eval.models.parts.llama import KVCache
from janus_eval.models.parts.reader import Reader
from janus_eval.models.parts.rows import decoding_mask, forward, forward_step, new_cache

Advance: TypeAlias = Callable[[Tensor], Tensor]
"""Embeddings ``[B, 1, E]`` of every row's next token -> what the head makes of its hidden states ``[B, E]``."""

Record: TypeAlias = Callable[[Callable[[], Tensor]], tuple[Callable[[], None], Tensor]]
"""A step without arguments -> what does it again, and the tensor in which its result then stands."""

SPAN = 128
"""Recorded steps read the cache up to a multiple of this: one graph each, five for a picture of 576 codes."""

WORTH = 64
"""Steps from which recording pays: it costs about as much as a dozen steps."""


def advancer(
    model: Reader, prefix: KVCache, index: Tensor, attended: Tensor, steps: int, head: Callable[[Tensor], Tensor]
) -> Advance:
    """Continue rows for so many steps: row i goes on from row ``index[i]`` of ``prefix``.

    ``attended`` ``[B, S]`` marks the tokens of each row that are real; the others are seen by nobody.
    """
    cache = new_cache(model, len(index), prefix.length + steps)
    cache.fill_from(prefix, index)
    if cache.data.is_cuda and steps >= WORTH:
        return RecordedSteps(model, cache, attended, head, GraphRecorder(cache.data.device))
    return PlainSteps(model, cache, attended, steps, head)


class PlainSteps:
    """Each step as it comes, over exactly what was read so far."""

    def __init__(
        self, model: Reader, cache: KVCache, attended: Tensor, steps: int, head: Callable[[Tensor], Tensor]
    ) -> None:
        self.model, self.cache, self.head = model, cache, head
        self.seen = decoding_mask(attended, steps)
        self.positions = attended.sum(-1, keepdim=True)

    def __call__(self, x: Tensor) -> Tensor:
        hidden = forward_step(self.model, x, self.cache, self.positions, self.seen)
        self.positions = self.positions + 1
        return self.head(hidden)


class RecordedSteps:
    """Each step replayed from a recording."""

    def __init__(
        self, model: Reader, cache: KVCache, attended: Tensor, head: Callable[[Tensor], Tensor], record: Record
    ) -> None:
        self.model, self.cache, self.head, self.record = model, cache, head, record
        rows, device, dtype = cache.rows, cache.data.device, cache.data.dtype
        self.x = torch.empty(rows, 1, model.language.config.hidden_size, device=device, dtype=dtype)
        self.place = torch.tensor([cache.length], device=device)
        self.positions = attended.sum(-1, keepdim=True)
        # Added to the scores of attention: 0 where a token may be seen. A mask of booleans would be turned into this
        # in every layer. Its width is a multiple of SPAN, as the kernels want it.
        self.bias = torch.full((rows, 1, 1, _up(cache.capacity)), -torch.inf, device=device, dtype=dtype)
        self.bias[:, 0, 0, : cache.length].masked_fill_(attended, 0.0)
        cache.data[..., cache.length :, :] = 0.0  # read with a weight of nought, where a NaN would still count
        self.recordings: dict[int, tuple[Callable[[], None], Tensor]] = {}

    def __call__(self, x: Tensor) -> Tensor:
        self.x.copy_(x)
        span = min(_up(self.cache.length + 1), self.cache.capacity)
        if span not in self.recordings:
            self.recordings[span] = self.record(lambda: self._step(span))
        replay, result = self.recordings[span]
        replay()
        self.cache.advance(1)
        self.place += 1
        self.positions += 1
        return result.clone()  # the next replay writes over it

    def _step(self, span: int) -> Tensor:
        """Done twice with the same place, it leaves the same behind: recording may try it beforehand."""
        self.bias.index_fill_(3, self.place, 0.0)
        placed = PlacedCache(self.cache, self.place, span)
        hidden = forward(self.model, self.x, placed, self.positions, self.bias[..., :span])
        return self.head(hidden[:, 0])


class PlacedCache(KVCache):
    """Another cache's memory: written where ``place`` ``[1]`` points, a tensor that changes, and read to ``span``."""

    def __init__(self, whole: KVCache, place: Tensor, span: int) -> None:
        self.data, self.length = whole.data, whole.length
        self.place, self.span = place, span

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        slots = self.data[layer]
        slots[0].index_copy_(2, self.place, keys)
        slots[1].index_copy_(2, self.place, values)
        return slots[0, :, :, : self.span], slots[1, :, :, : self.span]

    def advance(self, tokens: int) -> None:
        """Whoever owns the memory counts."""


class GraphRecorder:
    """Records on one CUDA device, current or not; the graphs share their memory, since they run in turn."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.pool: Any = None  # torch's own type of it is private

    def __call__(self, step: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        with torch.cuda.device(self.device):
            # A first time outside the recording: libraries make their workspaces then, which can't be recorded.
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                step()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, pool=self.pool):
                result = step()
        self.pool = graph.pool()
        return graph.replay, result


def _up(tokens: int) -> int:
    return -(-tokens // SPAN) * SPAN
