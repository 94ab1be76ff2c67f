"""The linear layer of the decoders, and the order of weights that makes its products of few rows fast on a CPU.

Decoding a token reads every weight for a handful of rows. torch's product over weights as they are stored then takes
twice the time of oneDNN's over weights in blocks that fit its kernels (measured in docs/performance.md). Bringing them
into blocks and back costs as much as some ten steps' products, so it is done for a drawing and not for a short answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

LARGE = 2**16
"""Weights from which blocks are used: up to 2**18 no faster, but then a row's product is the same in any batch."""


class Linear(nn.Linear):
    """``y = x W^T + b`` on ``[..., in] -> [..., out]``."""

    packed: Tensor | None = None
    """The weights in blocks, within ``packed_weights``; ``weight`` is empty meanwhile."""

    def forward(self, x: Tensor) -> Tensor:
        if self.packed is None:
            return super().forward(x)
        return torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")


@contextmanager
def packed_weights(*modules: nn.Module) -> Iterator[None]:
    """Within, large ``Linear`` layers of the modules hold their weights in blocks, where that helps; for inference.

    Nothing is held twice. Afterwards the weights are bit for bit what they were, in memory of their own. Products
    differ from the plain ones in the last bits, as sums in another order do.
    """
    layers = {layer: None for module in modules for layer in module.modules() if isinstance(layer, Linear)}
    chosen = [layer for layer in layers if packable(layer.weight)]
    try:
        for layer in chosen:
            layer.packed = torch.ops.mkldnn._reorder_linear_weight(layer.weight, None)
            layer.weight.data = layer.weight.data.new_empty(0)
        yield
    finally:
        with torch.inference_mode(False):  # the weights may be trained later
            for layer in chosen:
                if layer.packed is not None:
                    layer.weight.data = layer.packed.to_dense()
                    layer.packed = None


def packable(weight: Tensor) -> bool:
    """Large weights on an x86 processor whose torch has oneDNN. On others it has no kernels of its own to speak of."""
    return (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and weight.numel() >= LARGE
        and torch.backends.mkldnn.is_available()
        # The operators that torch's own compiler uses; not public, so they may go.
        and all(hasattr(torch.ops.mkldnn, name) for name in ("_linear_pointwise", "_reorder_linear_weight"))
        and torch.backends.cpu.get_cpu_capability().startswith("AVX")
    )
