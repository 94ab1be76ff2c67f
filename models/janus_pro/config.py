"""Janus-Pro's configuration, read from DeepSeek's sparse ``config.json``.

Published files leave out what their code hard-codes, here the widths of ``VQ-16``. A key that is present always wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from janus_eval.errors import UserError
from janus_eval.models.janus_pro.vq import VQConfig
from janus_eval.models.parts.config import (
    MOST_LAYERS,
    divides,
    expect,
    params,
    read_llama,
    read_siglip,
    section,
    whole,
)
from janus_eval.models.parts.llama import LlamaConfig
from janus_eval.models.parts.siglip import SiglipConfig

MOST_LEVELS = 8


@dataclass(frozen=True)
class ProjectorConfig:
    input_dim: int
    output_dim: int
    depth: int = 2


@dataclass(frozen=True)
class JanusProConfig:
    vision: SiglipConfig
    aligner: ProjectorConfig
    vq: VQConfig
    gen_aligner: ProjectorConfig
    gen_head_width: int
    language: LlamaConfig

    @property
    def image_tokens(self) -> int:
        """Tokens of an image that is read: one a SigLIP patch."""
        return self.vision.num_patches

    @property
    def drawn_grid(self) -> int:
        """Side of the code grid of an image that is drawn: it is drawn at the size at which images are read."""
        return self.vision.image_size // self.vq.downsampling


def read_config(raw: Mapping[str, Any]) -> JanusProConfig:
    """A parsed ``config.json`` of model type ``multi_modality``. Raises UserError naming the key."""
    language = read_llama(section(raw, "language_config"))
    vision = read_siglip(params(raw, "vision_config"))
    vq = read_vq(params(raw, "gen_vision_config"))
    head = params(raw, "gen_head_config")
    config = JanusProConfig(
        vision=vision,
        aligner=read_projector(params(raw, "aligner_config"), "aligner_config", vision.width, language.hidden_size),
        vq=vq,
        gen_aligner=read_projector(
            params(raw, "gen_aligner_config"), "gen_aligner_config", vq.codebook_dim, language.hidden_size
        ),
        gen_head_width=whole(head, "image_token_embed", language.hidden_size, "gen_head_config.params"),
        language=language,
    )
    if config.drawn_grid < 1:
        raise UserError(
            f"config.json: vision_config.params.image_size is {vision.image_size}; the image tokenizer's "
            f"{len(vq.encoder_multipliers)} levels need at least {vq.downsampling}"
        )
    expect("gen_head_config.params.n_embed", head.get("n_embed", language.hidden_size), language.hidden_size)
    expect("gen_head_config.params.image_token_size", head.get("image_token_size", vq.codebook_size), vq.codebook_size)
    return config


def read_vq(raw: Mapping[str, Any]) -> VQConfig:
    """Fill ``gen_vision_config.params`` with VQ-16's widths."""
    default, where = VQConfig(), "gen_vision_config.params"
    encoder, decoder = (
        multipliers(raw, key, preset, where)
        for key, preset in (
            ("encoder_ch_mult", default.encoder_multipliers),
            ("decoder_ch_mult", default.decoder_multipliers),
        )
    )
    if len(encoder) != len(decoder):
        raise UserError(
            f"config.json: {where}: encoder_ch_mult has {len(encoder)} levels and decoder_ch_mult "
            f"{len(decoder)}; images would come back at another size"
        )
    config = VQConfig(
        codebook_size=whole(raw, "image_token_size", default.codebook_size, where),
        codebook_dim=whole(raw, "n_embed", default.codebook_dim, where),
        channels=whole(raw, "ch", default.channels, where),
        encoder_multipliers=encoder,
        decoder_multipliers=decoder,
        latent_channels=whole(raw, "z_channels", default.latent_channels, where),
        res_blocks=whole(raw, "num_res_blocks", default.res_blocks, where, most=MOST_LAYERS),
        norm_groups=whole(raw, "norm_groups", default.norm_groups, where),
    )
    divides(f"{where}.ch", config.channels, "norm_groups", config.norm_groups)
    return config


def read_projector(raw: Mapping[str, Any], where: str, input_dim: int, output_dim: int) -> ProjectorConfig:
    expect(f"{where}.params.input_dim", raw.get("input_dim", input_dim), input_dim)
    expect(f"{where}.params.n_embed", raw.get("n_embed", output_dim), output_dim)
    kind = raw.get("projector_type", "mlp_gelu")
    if kind not in ("mlp_gelu", "linear"):
        raise UserError(f"config.json: {where}.params.projector_type is {kind!r}; mlp_gelu and linear are known")
    depth = whole(raw, "depth", 1, f"{where}.params", most=MOST_LAYERS)
    return ProjectorConfig(input_dim, output_dim, depth if kind == "mlp_gelu" else 1)


def multipliers(raw: Mapping[str, Any], key: str, default: Sequence[int], where: str) -> tuple[int, ...]:
    """How many times ``ch`` each level is wide."""
    values = raw.get(key, default)
    if not isinstance(values, list | tuple) or not 0 < len(values) <= MOST_LEVELS:
        raise UserError(f"config.json: {where}.{key} is {values!r}; a list of 1 to {MOST_LEVELS} numbers is expected")
    return tuple(whole({key: value}, key, None, where) for value in values)
