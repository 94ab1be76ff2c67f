"""Where and in what numbers a model is loaded."""

from __future__ import annotations

import torch

from janus_eval.errors import UserError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def usable(device: str) -> torch.device:
    """Raises UserError for a device that is not there."""
    try:
        torch.empty(1, device=device).sum().item()  # the meta device has no values
        return torch.device(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device {device!r} cannot be used ({reason}); --device cpu always can") from error


def known_dtype(dtype: str) -> torch.dtype:
    if dtype not in DTYPES:
        raise UserError(f"unknown dtype {dtype!r} (one of {', '.join(DTYPES)})")
    return DTYPES[dtype]
