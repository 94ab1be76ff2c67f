"""Janus-Pro's configuration, read from DeepSeek's sparse ``config.json``.

Published files leave out what their code hard-codes: the sizes of a named SigLIP model, the widths of ``VQ-16``, and
LlamaConfig's defaults. All of that is filled in here, and a key that is present always wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
# Beyond these a number is a mistake; to build what it says would take all memory or all day.
MOST, MOST_LAYERS, MOST_LEVELS = 100_000_000, 1000, 8
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


def read_llama(raw: Mapping[str, Any]) -> LlamaConfig:
    """Fill a ``language_config`` with LlamaConfig's defaults."""
    default, where = LlamaConfig(), "language_config"
    heads = whole(raw, "num_attention_heads", default.num_attention_heads, where)
    hidden = whole(raw, "hidden_size", default.hidden_size, where)
    # `rope_parameters` is where transformers 5 keeps what used to be rope_theta and rope_scaling.
    rope, scaling = (table(raw.get(key) or {}, f"{where}.{key}") for key in ("rope_parameters", "rope_scaling"))
    kind = scaling.get("rope_type", scaling.get("type", rope.get("rope_type", "default")))
    expect("language_config.rope_scaling", kind, "default")
    expect("language_config.hidden_act", raw.get("hidden_act", "silu"), "silu")
    for bias in ("attention_bias", "mlp_bias"):
        expect(f"language_config.{bias}", bool(raw.get(bias, False)), False)
    given = {key: value for key, value in raw.items() if value is not None}  # null: derived from the others
    config = LlamaConfig(
        vocab_size=whole(raw, "vocab_size", default.vocab_size, where),
        hidden_size=hidden,
        intermediate_size=whole(raw, "intermediate_size", default.intermediate_size, where),
        num_hidden_layers=whole(raw, "num_hidden_layers", default.num_hidden_layers, where, most=MOST_LAYERS),
        num_attention_heads=heads,
        num_key_value_heads=whole(given, "num_key_value_heads", heads, where),
        head_dim=whole(given, "head_dim", hidden // heads, where),
        max_position_embeddings=whole(raw, "max_position_embeddings", default.max_position_embeddings, where),
        rms_norm_eps=real(raw, "rms_norm_eps", default.rms_norm_eps, where),
        rope_theta=real({**rope, **raw}, "rope_theta", default.rope_theta, where),
        tie_word_embeddings=bool(raw.get("tie_word_embeddings", default.tie_word_embeddings)),
    )
    divides(f"{where}.num_attention_heads", heads, "num_key_value_heads", config.num_key_value_heads)
    divides(f"{where}.head_dim", config.head_dim, "the two halves that are rotated", 2)
    return config


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
    where = "vision_config.params"
    layers = whole(sizes, "layers", None, where, most=MOST_LAYERS)
    select = whole(raw, "select_layer", -1, where, least=-layers, most=MOST_LAYERS)
    # -1 keeps all blocks, -2 leaves out the last one, a positive number keeps so many.
    kept = min(layers, layers + select + 1) if select <= 0 else min(layers, select)
    config = SiglipConfig(
        image_size=whole(raw, "image_size", 384, where),
        patch_size=whole(sizes, "patch_size", None, where),
        width=whole(sizes, "width", None, where),
        layers=kept,
        heads=whole(sizes, "heads", None, where),
        mlp_ratio=real(sizes, "mlp_ratio", None, where),
    )
    divides(f"{where}.width", config.width, "heads", config.heads)
    if config.patch_size > config.image_size:
        raise UserError(
            f"config.json: {where}.patch_size is {config.patch_size}; image_size {config.image_size} holds none"
        )
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


def section(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    if not isinstance(value, Mapping):
        raise UserError(f"config.json: {key} is missing or no object; is this a Janus-Pro checkpoint?")
    return value


def params(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    return table(section(raw, key).get("params", {}), f"{key}.params")


def table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UserError(f"config.json: {where} is {value!r}; an object is expected here")
    return value


def whole(
    raw: Mapping[str, Any], key: str, default: int | None, where: str, *, least: int = 1, most: int = MOST
) -> int:
    """A whole number. Raises UserError for anything else, and for one that no model can have."""
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise UserError(f"config.json: {where}.{key} is {value!r}; a whole number is expected here")
    if not least <= value <= most:
        raise UserError(f"config.json: {where}.{key} is {value!r}; a number from {least} to {most:,} is expected here")
    return int(value)


def real(raw: Mapping[str, Any], key: str, default: float | None, where: str) -> float:
    """A positive number."""
    value = raw.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise UserError(f"config.json: {where}.{key} is {value!r}; a positive number is expected here")
    return float(value)


def multipliers(raw: Mapping[str, Any], key: str, default: Sequence[int], where: str) -> tuple[int, ...]:
    """How many times ``ch`` each level is wide."""
    values = raw.get(key, default)
    if not isinstance(values, list | tuple) or not 0 < len(values) <= MOST_LEVELS:
        raise UserError(f"config.json: {where}.{key} is {values!r}; a list of 1 to {MOST_LEVELS} numbers is expected")
    return tuple(whole({key: value}, key, None, where) for value in values)


def divides(key: str, value: int, other: str, divisor: int) -> None:
    if value % divisor:
        raise UserError(f"config.json: {key} is {value}; it must be a multiple of {divisor} ({other})")


def expect(key: str, got: object, expected: object) -> None:
    if got != expected:
        raise UserError(f"config.json: {key} is {got!r}; {expected!r} is expected here")
