"""From a checkpoint's folder to a model in memory, whichever of the two published formats it has."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import NamedTuple

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.models.janus_pro.config import JanusProConfig, read_config
from janus_eval.models.janus_pro.converted import TRANSFORMERS_FORMAT, read_converted
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.weights import DEEPSEEK_FORMAT
from janus_eval.models.parts.loading import known_dtype, usable
from janus_eval.models.parts.weights import Format, load_weights


class Loaded(NamedTuple):
    """``weights`` is a SHA-256 of tensors and configuration: what two files say alike hashes alike."""

    model: JanusPro
    weights: str


def load_model(checkpoint: Checkpoint, *, device: str = "cpu", dtype: str = "float32") -> Loaded:
    """Read configuration and weights. Raises UserError for whatever does not fit."""
    config, layout = describe(checkpoint)
    model, digest = load_weights(
        checkpoint, lambda: JanusPro(config), layout, device=usable(device), dtype=known_dtype(dtype)
    )
    text = json.dumps([digest, asdict(config)], sort_keys=True)
    return Loaded(model, hashlib.sha256(text.encode()).hexdigest())


def describe(checkpoint: Checkpoint) -> tuple[JanusProConfig, Format]:
    """A checkpoint's configuration and format."""
    raw = checkpoint.json("config.json")
    kind = raw.get("model_type")
    if kind == "janus":
        return read_converted(raw, own_head="lm_head.weight" in checkpoint.shapes()), TRANSFORMERS_FORMAT
    if kind == "multi_modality" and "vision_gen_enc_config" in raw:
        raise UserError(f"{checkpoint.folder} is a JanusFlow checkpoint, not Janus or Janus-Pro")
    if kind == "multi_modality":
        return read_config(raw), DEEPSEEK_FORMAT
    raise UserError(
        f"{checkpoint.folder / 'config.json'}: model_type is {kind!r}; Janus and Janus-Pro checkpoints have "
        "'multi_modality' (DeepSeek's) or 'janus' (converted for transformers)"
    )
