"""Weights of Janus-Pro in DeepSeek's format: the names of its tensors, and writing them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from janus_eval.models.janus_pro.config import JanusProConfig
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.parts.weights import (
    LLAMA_NAMES,
    Format,
    Names,
    attention_pool_shapes,
    part,
    siglip_names,
    siglip_params,
    write_checkpoint,
)

DEEPSEEK: Names = (
    *siglip_names("vision", "vision_model.vision_tower"),
    # Theirs counts the activations between the layers too.
    ("aligner.layers.{a}", "aligner.layers.{a2}"),
    ("gen_aligner.layers.{a}", "gen_aligner.layers.{a2}"),
    ("gen_embed", "gen_embed"),
    ("gen_head.proj", "gen_head.output_mlp_projector"),
    ("gen_head.out", "gen_head.vision_head"),
    ("vq.codebook", "gen_vision_model.quantize.embedding"),
    ("vq.encoder.levels.{a}.resample.conv", "gen_vision_model.encoder.conv_blocks.{a}.downsample.conv"),
    ("vq.decoder.levels.{a}.resample.conv", "gen_vision_model.decoder.conv_blocks.{a}.upsample.conv"),
    ("vq.{side}.levels.{a}.res.{b}.shortcut", "gen_vision_model.{side}.conv_blocks.{a}.res.{b}.nin_shortcut"),
    ("vq.{side}.levels.{a}.res.{b}.{leaf}", "gen_vision_model.{side}.conv_blocks.{a}.res.{b}.{leaf}"),
    (
        "vq.{side}.levels.{a}.attn.{b}.qkv",
        "gen_vision_model.{side}.conv_blocks.{a}.attn.{b}.q",
        "gen_vision_model.{side}.conv_blocks.{a}.attn.{b}.k",
        "gen_vision_model.{side}.conv_blocks.{a}.attn.{b}.v",
    ),
    ("vq.{side}.levels.{a}.attn.{b}.{leaf}", "gen_vision_model.{side}.conv_blocks.{a}.attn.{b}.{leaf}"),
    (
        "vq.{side}.mid.{a}.qkv",
        "gen_vision_model.{side}.mid.{a}.q",
        "gen_vision_model.{side}.mid.{a}.k",
        "gen_vision_model.{side}.mid.{a}.v",
    ),
    ("vq.{side}.mid.{a}.{leaf}", "gen_vision_model.{side}.mid.{a}.{leaf}"),
    ("vq.{side}.{leaf}", "gen_vision_model.{side}.{leaf}"),
    ("vq.{leaf}", "gen_vision_model.{leaf}"),
    *LLAMA_NAMES,
)

DEEPSEEK_FORMAT = Format(
    DEEPSEEK,
    unused=(r"vision_model\.vision_tower\.attn_pool\..+", r"gen_vision_model\.quantize\.codebook_used"),
    # A projector of type `linear` is no list of layers.
    aliases={
        f"{aligner}.layers.{leaf}": f"{aligner}.layers.0.{leaf}"
        for aligner in ("aligner", "gen_aligner")
        for leaf in ("weight", "bias")
    },
)


def unused_shapes(config: JanusProConfig) -> dict[str, tuple[int, ...]]:
    """Tensors that DeepSeek's code saves and no path of it reads: SigLIP's attention pool, and a usage counter."""
    pool = attention_pool_shapes("vision_model.vision_tower", config.vision)
    return pool | {"gen_vision_model.quantize.codebook_used": (65536,)}


def save_checkpoint(model: JanusPro, folder: Path, *, dtype: torch.dtype | None = None) -> None:
    """Write ``config.json`` and ``model.safetensors`` in DeepSeek's format; what nothing reads is left out."""
    write_checkpoint(model, DEEPSEEK_FORMAT, lambda kind: deepseek_config(model.config, kind), folder, dtype=dtype)


def deepseek_config(config: JanusProConfig, dtype: str = "float32") -> dict[str, object]:
    """A configuration as DeepSeek's ``config.json`` has it, every size spelt out."""
    vq, language = config.vq, asdict(config.language)

    def projector(name: str) -> dict[str, object]:
        sizes = getattr(config, name)
        params = {"depth": sizes.depth, "input_dim": sizes.input_dim, "n_embed": sizes.output_dim}
        return part(name, "MlpProjector", {**params, "projector_type": "mlp_gelu"})

    codes: dict[str, object] = {"image_token_size": vq.codebook_size, "n_embed": vq.codebook_dim, "ch": vq.channels}
    codes |= {"encoder_ch_mult": list(vq.encoder_multipliers), "decoder_ch_mult": list(vq.decoder_multipliers)}
    codes |= {"z_channels": vq.latent_channels, "num_res_blocks": vq.res_blocks, "norm_groups": vq.norm_groups}
    head = {"image_token_embed": config.gen_head_width, "image_token_size": vq.codebook_size}
    return {
        "model_type": "multi_modality",
        "architectures": ["MultiModalityCausalLM"],
        "torch_dtype": dtype,
        "vision_config": part("vision", "CLIPVisionTower", siglip_params(config.vision)),
        "aligner_config": projector("aligner"),
        "gen_vision_config": part("gen_vision", "VQ-16", codes),
        "gen_aligner_config": projector("gen_aligner"),
        "gen_head_config": part("gen_head", "vision_head", {**head, "n_embed": config.language.hidden_size}),
        "language_config": {"model_type": "llama", "torch_dtype": dtype, **language},
    }
