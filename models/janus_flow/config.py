"""JanusFlow's configuration, read from DeepSeek's ``config.json``.

The published code hard-codes the widths of its aligners (1024, 2048 and 768); here they follow the parts that they
join, so that models of other sizes can be read.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from janus_eval.errors import UserError
from janus_eval.models.parts.config import (
    MOST_LAYERS,
    expect,
    params,
    read_llama,
    read_siglip,
    real,
    section,
    whole,
)
from janus_eval.models.parts.llama import LlamaConfig
from janus_eval.models.parts.siglip import SiglipConfig

MOST_UPSAMPLES = 8


@dataclass(frozen=True)
class GenEncoderConfig:
    """Latents to tokens. Defaults are those of the published class, ``ShallowUViTEncoder``."""

    latent_channels: int = 3
    width: int = 768
    stride: int = 4
    kernel_size: int = 7
    padding: int = 3
    blocks: int = 2
    bias: bool = True
    norm_eps: float = 1e-6

    def grid(self, side: int) -> int:
        """Tokens along a side of latents of length ``side``."""
        return (side + 2 * self.padding - self.kernel_size) // self.stride + 1


@dataclass(frozen=True)
class GenDecoderConfig:
    """Hidden states to velocities. Defaults are those of the published class, ``ShallowUViTDecoder``."""

    width: int = 768
    skip_width: int = 768
    latent_channels: int = 3
    upsamples: int = 2
    blocks: int = 2
    bias: bool = True
    norm_eps: float = 1e-6


@dataclass(frozen=True)
class JanusFlowConfig:
    vision: SiglipConfig
    gen_encoder: GenEncoderConfig
    gen_decoder: GenDecoderConfig
    language: LlamaConfig


def read_config(raw: Mapping[str, Any]) -> JanusFlowConfig:
    """A parsed ``config.json`` with a ``vision_gen_enc_config``. Raises UserError naming the key."""
    language = read_llama(section(raw, "language_config"))
    encoder = read_gen_encoder(params(raw, "vision_gen_enc_config"), language.hidden_size)
    decoder = read_gen_decoder(params(raw, "vision_gen_dec_config"), language.hidden_size)
    where = "vision_gen_dec_config.params"
    expect(f"{where}.out_channels", decoder.latent_channels, encoder.latent_channels)
    expect(f"{where}.block_out_channels", decoder.skip_width, encoder.width)
    if 2**decoder.upsamples != encoder.stride:
        raise UserError(
            f"config.json: {where}.upsamples is {decoder.upsamples}, which enlarges {2**decoder.upsamples} times; "
            f"vision_gen_enc_config.params.stride is {encoder.stride}: velocities must have the latents' size"
        )
    vision = read_siglip(params(raw, "vision_und_enc_config"), "vision_und_enc_config.params")
    return JanusFlowConfig(vision, encoder, decoder, language)


def read_gen_encoder(raw: Mapping[str, Any], hidden_size: int) -> GenEncoderConfig:
    default, where = GenEncoderConfig(), "vision_gen_enc_config.params"
    stride = whole(raw, "stride", default.stride, where)
    kernel_size = whole(raw, "kernel_size", default.kernel_size, where)
    # Absent or null, the published class derives it.
    padding = raw.get("padding")
    padding = max(0, math.ceil(kernel_size - stride)) if padding is None else padding
    expect(f"{where}.hidden_size", raw.get("hidden_size", 2048), hidden_size)
    return GenEncoderConfig(
        latent_channels=whole(raw, "input_channels", default.latent_channels, where),
        width=_width(raw, where),
        stride=stride,
        kernel_size=kernel_size,
        padding=whole({"padding": padding}, "padding", None, where, least=0),
        blocks=_blocks(raw, where),
        bias=bool(raw.get("use_bias", default.bias)),
        norm_eps=real(raw, "norm_eps", default.norm_eps, where),
    )


def read_gen_decoder(raw: Mapping[str, Any], hidden_size: int) -> GenDecoderConfig:
    default, where = GenDecoderConfig(), "vision_gen_dec_config.params"
    expect(f"{where}.hidden_size", raw.get("hidden_size", 2048), hidden_size)
    return GenDecoderConfig(
        width=whole(raw, "in_channels", default.width, where),
        skip_width=_width(raw, where),
        latent_channels=whole(raw, "out_channels", default.latent_channels, where),
        upsamples=whole(raw, "upsamples", default.upsamples, where, most=MOST_UPSAMPLES),
        blocks=_blocks(raw, where),
        bias=bool(raw.get("use_bias", default.bias)),
        norm_eps=real(raw, "norm_eps", default.norm_eps, where),
    )


def _width(raw: Mapping[str, Any], where: str) -> int:
    """``block_out_channels``: a list, of which the published classes use the first and the last as one width."""
    values = raw.get("block_out_channels", [768])
    if not isinstance(values, list | tuple) or not values or len(set(map(repr, values))) > 1:
        raise UserError(f"config.json: {where}.block_out_channels is {values!r}; a list of one width is expected here")
    return whole({"block_out_channels": values[0]}, "block_out_channels", None, where)


def _blocks(raw: Mapping[str, Any], where: str) -> int:
    if not raw.get("use_mid_block", True):
        return 0
    return whole(raw, "layers_in_middle", 2, where, least=0, most=MOST_LAYERS)
