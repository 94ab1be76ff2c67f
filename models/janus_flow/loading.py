"""From a checkpoint's folder to a model in memory."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import NamedTuple

from janus_eval.checkpoint import Checkpoint
from janus_eval.errors import UserError
from janus_eval.models.janus_flow.config import JanusFlowConfig, read_config
from janus_eval.models.janus_flow.model import JanusFlow
from janus_eval.models.janus_flow.vae import VAE
from janus_eval.models.janus_flow.weights import DEEPSEEK_FORMAT
from janus_eval.models.parts.loading import known_dtype, usable
from janus_eval.models.parts.weights import load_weights


class Loaded(NamedTuple):
    """``weights`` is a SHA-256 of tensors and configuration: what two files say alike hashes alike."""

    model: JanusFlow
    weights: str


def load_model(checkpoint: Checkpoint, *, device: str = "cpu", dtype: str = "float32") -> Loaded:
    """Read configuration and weights. Raises UserError for whatever does not fit."""
    config = describe(checkpoint)
    model, digest = load_weights(
        checkpoint, lambda: JanusFlow(config), DEEPSEEK_FORMAT, device=usable(device), dtype=known_dtype(dtype)
    )
    text = json.dumps([digest, asdict(config)], sort_keys=True)
    return Loaded(model, hashlib.sha256(text.encode()).hexdigest())


def describe(checkpoint: Checkpoint) -> JanusFlowConfig:
    """A checkpoint's configuration."""
    raw = checkpoint.json("config.json")
    if raw.get("model_type") == "multi_modality" and "vision_gen_enc_config" in raw:
        return read_config(raw)
    if raw.get("model_type") in ("multi_modality", "janus"):
        raise UserError(f"{checkpoint.folder} is a Janus or Janus-Pro checkpoint, not JanusFlow")
    raise UserError(
        f"{checkpoint.folder / 'config.json'}: model_type is {raw.get('model_type')!r} without vision_gen_enc_config; "
        "a JanusFlow checkpoint has 'multi_modality' and that section"
    )


def latent_side(config: JanusFlowConfig, vae: VAE) -> int:
    """Latents along a side of the image that the model draws, which is as large as those it reads.

    Raises UserError where model and autoencoder don't belong together.
    """
    encoder, size = config.gen_encoder, config.vision.image_size
    if vae.channels != encoder.latent_channels:
        raise UserError(
            f"the autoencoder has {vae.channels} latent channels, the model draws {encoder.latent_channels}; "
            "give the one that it was trained with (setting vae, a folder or hub id)"
        )
    side = size // vae.downsampling
    if side * vae.downsampling != size or not fits(config, side):
        raise UserError(
            f"the autoencoder makes {vae.downsampling}x{vae.downsampling} pixels one latent, and the model takes "
            f"{encoder.stride}x{encoder.stride} latents as one token: an image of {size} pixels can't be drawn so; "
            "give the autoencoder that the model was trained with (setting vae, a folder or hub id)"
        )
    return side


def fits(config: JanusFlowConfig, side: int) -> bool:
    """Whether velocities of latents with this side come back at their size."""
    encoder = config.gen_encoder
    return side > 0 and encoder.grid(side) * encoder.stride == side
