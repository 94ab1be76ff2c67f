"""Janus-Pro's configuration, read from DeepSeek's sparse ``config.json``.

Published files leave out what their code hard-codes: the sizes of a named SigLIP model, the widths of ``VQ-16``, and
LlamaConfig's defaults. All of that is filled in here, and a key that is present always wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from janus_eval.errors import UserError
from janus_eval.models.janus_pro.vq import VQConfig
from janus_eval.models.parts.llama import LlamaConfig
from janus_eval.models.parts.siglip import SiglipConfig


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


# What a name in `vision_config.params.model_name` stands for (deepseek-ai/Janus, janus/models/siglip_vit.py).
SIGLIP_MODELS: Mapping[str, Mapping[str, Any]] = {
    "siglip_large_patch16_384": {"patch_size": 16, "width": 1024, "layers": 24, "heads": 16, "mlp_ratio": 4.0},
    "siglip_so400m_patch14_384": {"patch_size": 14, "width": 1152, "layers": 27, "heads": 16, "mlp_ratio": 3.7362},
    "siglip_so400m_patch14_224": {"patch_size": 14, "width": 1152, "layers": 27, "heads": 16, "mlp_ratio": 3.7362},
}
SIGLIP_SIZES = ("patch_size", "width", "layers", "heads", "mlp_ratio")


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
        gen_head_width=int(head.get("image_token_embed", language.hidden_size)),
        language=language,
    )
    expect("gen_head_config.params.n_embed", head.get("n_embed", language.hidden_size), language.hidden_size)
    expect("gen_head_config.params.image_token_size", head.get("image_token_size", vq.codebook_size), vq.codebook_size)
    return config


def read_llama(raw: Mapping[str, Any]) -> LlamaConfig:
    """Fill a ``language_config`` with LlamaConfig's defaults."""
    default = LlamaConfig()
    heads = int(raw.get("num_attention_heads", default.num_attention_heads))
    hidden = int(raw.get("hidden_size", default.hidden_size))
    rope = raw.get("rope_parameters") or {}  # where transformers 5 keeps what used to be rope_theta and rope_scaling
    scaling = raw.get("rope_scaling") or {}
    kind = scaling.get("rope_type", scaling.get("type", rope.get("rope_type", "default")))
    expect("language_config.rope_scaling", kind, "default")
    expect("language_config.hidden_act", raw.get("hidden_act", "silu"), "silu")
    for bias in ("attention_bias", "mlp_bias"):
        expect(f"language_config.{bias}", bool(raw.get(bias, False)), False)
    return LlamaConfig(
        vocab_size=int(raw.get("vocab_size", default.vocab_size)),
        hidden_size=hidden,
        intermediate_size=int(raw.get("intermediate_size", default.intermediate_size)),
        num_hidden_layers=int(raw.get("num_hidden_layers", default.num_hidden_layers)),
        num_attention_heads=heads,
        num_key_value_heads=int(raw.get("num_key_value_heads") or heads),
        head_dim=int(raw.get("head_dim") or hidden // heads),
        max_position_embeddings=int(raw.get("max_position_embeddings", default.max_position_embeddings)),
        rms_norm_eps=float(raw.get("rms_norm_eps", default.rms_norm_eps)),
        rope_theta=float(raw.get("rope_theta", rope.get("rope_theta", default.rope_theta))),
        tie_word_embeddings=bool(raw.get("tie_word_embeddings", default.tie_word_embeddings)),
    )


def read_siglip(raw: Mapping[str, Any]) -> SiglipConfig:
    """Fill ``vision_config.params`` with the sizes of the SigLIP model that it names."""
    name = str(raw.get("model_name", "siglip_large_patch16_384"))
    sizes = {**SIGLIP_MODELS.get(name, {}), **{key: raw[key] for key in SIGLIP_SIZES if key in raw}}
    missing = [key for key in SIGLIP_SIZES if key not in sizes]
    if missing:
        raise UserError(
            f"config.json: vision_config.params.model_name is {name!r}, which is none of {', '.join(SIGLIP_MODELS)}; "
            f"give {', '.join(missing)} beside it"
        )
    layers, select = int(sizes["layers"]), int(raw.get("select_layer", -1))
    # -1 keeps all blocks, -2 leaves out the last one, a positive number keeps so many.
    kept = min(layers, layers + select + 1) if select <= 0 else min(layers, select)
    return SiglipConfig(
        image_size=int(raw.get("image_size", 384)),
        patch_size=int(sizes["patch_size"]),
        width=int(sizes["width"]),
        layers=kept,
        heads=int(sizes["heads"]),
        mlp_ratio=float(sizes["mlp_ratio"]),
    )


def read_vq(raw: Mapping[str, Any]) -> VQConfig:
    """Fill ``gen_vision_config.params`` with VQ-16's widths."""
    default = VQConfig()
    encoder = tuple(int(m) for m in raw.get("encoder_ch_mult", default.encoder_multipliers))
    decoder = tuple(int(m) for m in raw.get("decoder_ch_mult", default.decoder_multipliers))
    if len(encoder) != len(decoder):
        raise UserError(
            f"config.json: gen_vision_config.params: encoder_ch_mult has {len(encoder)} levels and decoder_ch_mult "
            f"{len(decoder)}; images would come back at another size"
        )
    return VQConfig(
        codebook_size=int(raw.get("image_token_size", default.codebook_size)),
        codebook_dim=int(raw.get("n_embed", default.codebook_dim)),
        channels=int(raw.get("ch", default.channels)),
        encoder_multipliers=encoder,
        decoder_multipliers=decoder,
        latent_channels=int(raw.get("z_channels", default.latent_channels)),
        res_blocks=int(raw.get("num_res_blocks", default.res_blocks)),
        norm_groups=int(raw.get("norm_groups", default.norm_groups)),
    )


def read_projector(raw: Mapping[str, Any], where: str, input_dim: int, output_dim: int) -> ProjectorConfig:
    expect(f"{where}.params.input_dim", raw.get("input_dim", input_dim), input_dim)
    expect(f"{where}.params.n_embed", raw.get("n_embed", output_dim), output_dim)
    kind = raw.get("projector_type", "mlp_gelu")
    if kind not in {"mlp_gelu", "linear"}:
        raise UserError(f"config.json: {where}.params.projector_type is {kind!r}; mlp_gelu and linear are known")
    return ProjectorConfig(input_dim, output_dim, int(raw.get("depth", 1)) if kind == "mlp_gelu" else 1)


def section(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    if not isinstance(value, Mapping):
        raise UserError(f"config.json: {key} is missing or no object; is this a Janus-Pro checkpoint?")
    return value


def params(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = section(raw, key).get("params", {})
    if not isinstance(value, Mapping):
        raise UserError(f"config.json: {key}.params is no object")
    return value


def expect(key: str, got: object, expected: object) -> None:
    if got != expected:
        raise UserError(f"config.json: {key} is {got!r}; {expected!r} is expected here")
