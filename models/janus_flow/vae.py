"""SDXL's autoencoder, between pixels and latents: diffusers' module, our own strict and careful reading of its files.

Shapes: B images, S pixels a side, C latent channels, H x W latents. Source: SDXL (arXiv 2307.01952), section 2.4.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from janus_eval.checkpoint import Checkpoint, open_checkpoint
from janus_eval.errors import UserError

NAMES = ("diffusion_pytorch_model.safetensors", "model.safetensors", "diffusion_pytorch_model.bin")
PATTERNS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")

# Attention layers of autoencoders that were saved before diffusers 0.17 have other names.
RENAMED = (
    (r"(mid_block\.attentions\.0)\.query\.", r"\1.to_q."),
    (r"(mid_block\.attentions\.0)\.key\.", r"\1.to_k."),
    (r"(mid_block\.attentions\.0)\.value\.", r"\1.to_v."),
    (r"(mid_block\.attentions\.0)\.proj_attn\.", r"\1.to_out.0."),
)


@dataclass(frozen=True)
class VAE:
    """``weights`` is a SHA-256 of the configuration and all tensors."""

    module: Any  # diffusers' AutoencoderKL, a library without types
    weights: str

    @property
    def channels(self) -> int:
        return int(self.module.config["latent_channels"])

    @property
    def downsampling(self) -> int:
        """Pixels along the side of one latent."""
        return int(2 ** (len(self.module.config["block_out_channels"]) - 1))

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = next(self.module.parameters()).dtype
        return dtype

    @property
    def device(self) -> torch.device:
        device: torch.device = next(self.module.parameters()).device
        return device

    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels ``[B, 3, S, S]`` in [-1, 1] -> the likeliest latents ``[B, C, H, W]`` in float32, scaled."""
        found = self.module.encode(pixels.to(self.device, self.dtype)).latent_dist.mode()
        return torch.as_tensor(found).float() * self._scale

    def decode(self, latents: Tensor) -> Tensor:
        """Scaled latents ``[B, C, H, W]`` -> float32 pixels ``[B, 3, S, S]`` in about [-1, 1], one image at a time.

        So the same latents give the same bytes in every batch, and memory stays that of one image.
        """
        scaled = (latents.float() / self._scale).to(self.device, self.dtype)
        return torch.cat([self.module.decode(image[None]).sample.float() for image in scaled])

    @property
    def _scale(self) -> float:
        return float(self.module.config["scaling_factor"])


def vae_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type in which SDXL's autoencoder works beside a model of this one: in float16 its activations overflow."""
    return torch.float32 if dtype == torch.float16 else dtype


def load_vae(source: str, *, device: torch.device, dtype: torch.dtype) -> VAE:
    """A folder or hub id as diffusers lays it out. Raises UserError for whatever does not fit."""
    return read_vae(open_checkpoint(source, NAMES, PATTERNS), device=device, dtype=dtype)


def read_vae(checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype) -> VAE:
    """Nothing but ``config.json`` and tensors is read: every tensor must be there in its shape, and no other."""
    from diffusers import AutoencoderKL

    raw = checkpoint.json("config.json")
    _refuse_strange(raw, checkpoint)
    with torch.device("meta"):
        try:
            build: Any = AutoencoderKL.from_config
            module = build(raw)
        except Exception as error:  # noqa: BLE001 - whatever the library's constructor makes of odd values
            raise UserError(
                f"{checkpoint.folder / 'config.json'}: no autoencoder can be built from it ({error})"
            ) from None
    tensors = {_renamed(name): tensor for name, tensor in checkpoint.tensors()}
    expected = {name: tuple(value.shape) for name, value in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    odd = sorted(
        name
        for name in expected.keys() | found.keys()
        if _flat(expected.get(name)) != _flat(found.get(name)) or not tensors[name].is_floating_point()
    )
    if odd:
        first = odd[0]
        raise UserError(
            f"{checkpoint.folder}: its weights do not fit config.json: {len(odd)} tensors are missing, unknown or of "
            f"another shape, as {first} ({found.get(first, 'missing')}, expected {expected.get(first, 'none')})"
        )
    digest = hashlib.sha256(json.dumps(raw, sort_keys=True).encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name}{tensor.dtype}".encode() + tensor.view(-1).view(torch.uint8).numpy().tobytes())
    values = {name: tensors[name].reshape(shape).to(device, dtype) for name, shape in expected.items()}
    module.load_state_dict(values, assign=True)
    return VAE(module.eval().requires_grad_(False), digest.hexdigest())


def _refuse_strange(raw: dict[str, Any], checkpoint: Checkpoint) -> None:
    where = checkpoint.folder / "config.json"
    if raw.get("_class_name", "AutoencoderKL") != "AutoencoderKL":
        raise UserError(
            f"{where}: it is a {raw['_class_name']}; an AutoencoderKL is expected, such as stabilityai/sdxl-vae"
        )
    scale = raw.get("scaling_factor", 0.18215)
    if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < math.inf:
        raise UserError(f"{where}: scaling_factor is {scale!r}; a positive number is expected here")
    for key in ("shift_factor", "latents_mean", "latents_std"):
        if raw.get(key) is not None:
            raise UserError(f"{where}: {key} is {raw[key]!r}; JanusFlow's latents are scaled only, as SDXL's")


def _renamed(name: str) -> str:
    for old, new in RENAMED:
        name = re.sub(old, new, name)
    return name


def _flat(shape: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Old attention layers are convolutions of size 1; the numbers are the same."""
    if shape is None:
        return None
    while len(shape) > 2 and shape[-1] == 1:
        shape = shape[:-1]
    return shape
