"""Reading DeepSeek's sparse ``config.json``: what every family of theirs has, and what may stand in a key.

Published files leave out what their code hard-codes: the sizes of a named SigLIP model, and LlamaConfig's defaults. All
of that is filled in here, and a key that is present always wins. Everything raises UserError naming the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from janus_eval.errors import UserError
from janus_eval.models.parts.llama import LlamaConfig
from janus_eval.models.parts.siglip import SiglipConfig

# What a name in `vision_config.params.model_name` stands for (deepseek-ai/Janus, janus/models/siglip_vit.py).
SIGLIP_MODELS: Mapping[str, Mapping[str, Any]] = {
    "siglip_large_patch16_384": {"patch_size": 16, "width": 1024, "layers": 24, "heads": 16, "mlp_ratio": 4.0},
    "siglip_large_patch16_256": {"patch_size": 16, "width": 1024, "layers": 24, "heads": 16, "mlp_ratio": 4.0},
    "siglip_so400m_patch14_384": {"patch_size": 14, "width": 1152, "layers": 27, "heads": 16, "mlp_ratio": 3.7362},
    "siglip_so400m_patch14_224": {"patch_size": 14, "width": 1152, "layers": 27, "heads": 16, "mlp_ratio": 3.7362},
}
# Beyond these a number is a mistake; to build what it says would take all memory or all day.
MOST, MOST_LAYERS = 100_000_000, 1000
SIGLIP_SIZES = ("patch_size", "width", "layers", "heads", "mlp_ratio")


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


def read_siglip(raw: Mapping[str, Any], where: str = "vision_config.params") -> SiglipConfig:
    """Fill the encoder's ``params`` (they stand under ``where``) with the sizes of the SigLIP model that they name."""
    name = str(raw.get("model_name", "siglip_large_patch16_384"))
    sizes = {**SIGLIP_MODELS.get(name, {}), **{key: raw[key] for key in SIGLIP_SIZES if key in raw}}
    missing = [key for key in SIGLIP_SIZES if key not in sizes]
    if missing:
        raise UserError(
            f"config.json: {where}.model_name is {name!r}, which is none of {', '.join(SIGLIP_MODELS)}; "
            f"give {', '.join(missing)} beside it"
        )
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


def section(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    if not isinstance(value, Mapping):
        raise UserError(f"config.json: {key} is missing or no object; is this a checkpoint of this family?")
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


def divides(key: str, value: int, other: str, divisor: int) -> None:
    if value % divisor:
        raise UserError(f"config.json: {key} is {value}; it must be a multiple of {divisor} ({other})")


def expect(key: str, got: object, expected: object) -> None:
    if got != expected:
        raise UserError(f"config.json: {key} is {got!r}; {expected!r} is expected here")
