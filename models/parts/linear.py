"""The linear layer of the decoders."""

from __future__ import annotations

from torch import nn


class Linear(nn.Linear):
    """``y = x W^T + b`` on ``[..., in] -> [..., out]``."""
