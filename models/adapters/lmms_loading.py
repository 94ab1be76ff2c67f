"""What ``--model_args`` and lmms-eval's own options say about the model to load."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from loguru import logger

from janus_eval.errors import UserError
from janus_eval.plugins import names
from janus_eval.specs import ModelSpec, offered

TRIED = "0.7.3"
AUTO = 64
"""Where a batch size of ``auto`` starts; it is halved for good where memory runs out."""


def tell_version(found: str) -> None:
    """One line where this is another lmms-eval than the one whose ways are known here."""
    if found != TRIED:
        logger.warning(
            f"janus-eval's models were tried with lmms-eval {TRIED}, this is {found}: before you trust its figures, "
            "hold some answers against those of janus-eval ask"
        )


def spec_of(family: str, pretrained: str | None, settings: Mapping[str, Any]) -> ModelSpec:
    """``pretrained`` as a folder, else as the name of a model of the family, else as a hub id. Raises UserError for a
    model of another architecture."""
    known = pretrained is not None and pretrained in names("models")
    if not known or Path(str(pretrained)).is_dir():
        return ModelSpec(family, pretrained, settings)
    assert pretrained is not None
    if type(offered("models", pretrained)) is not type(offered("models", family)):
        raise UserError(f"pretrained={pretrained} is of another architecture than {family}")
    return ModelSpec(pretrained, None, settings)


def size_of(batch_size: int | str | None, most: int | None) -> int:
    """Raises UserError for what is no size; ``auto`` and ``auto:N`` start from ``most`` or ``AUTO``."""
    if str(batch_size or 1).partition(":")[0] == "auto":
        return int(most or AUTO)
    try:
        size = int(batch_size or 1)
    except ValueError:
        size = 0
    if size < 1:
        raise UserError(f"batch size {batch_size}; a number from 1 or auto expected")
    return size


def own_device(device: str | None) -> str:
    """The device of this process: of several, launched together, each has a GPU of its own."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    rank = os.environ.get("LOCAL_RANK")
    return f"cuda:{rank}" if device == "cuda" and rank is not None else device
