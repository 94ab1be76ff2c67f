"""Janus checkpoints as transformers' converter writes them (``model_type: janus``): their names and configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from janus_eval.models.janus_pro.config import JanusProConfig, read_config
from janus_eval.models.parts.config import expect, section
from janus_eval.models.parts.weights import Format, Names

TRANSFORMERS: Names = (
    ("vision.pos_embed", "model.vision_model.embeddings.position_embedding.weight"),
    ("vision.patch_embed", "model.vision_model.embeddings.patch_embedding"),
    ("vision.norm", "model.vision_model.post_layernorm"),
    ("vision.blocks.{a}.fc{b}", "model.vision_model.encoder.layers.{a}.mlp.fc{b}"),
    ("vision.blocks.{a}.norm{b}", "model.vision_model.encoder.layers.{a}.layer_norm{b}"),
    (
        "vision.blocks.{a}.attn.qkv",
        "model.vision_model.encoder.layers.{a}.self_attn.q_proj",
        "model.vision_model.encoder.layers.{a}.self_attn.k_proj",
        "model.vision_model.encoder.layers.{a}.self_attn.v_proj",
    ),
    ("vision.blocks.{a}.attn.proj", "model.vision_model.encoder.layers.{a}.self_attn.projection_layer"),
    ("aligner.layers.0", "model.aligner.fc1"),
    ("aligner.layers.{a}", "model.aligner.hidden_layers.{a1}"),
    ("gen_aligner.layers.0", "model.generation_aligner.fc1"),
    ("gen_aligner.layers.{a}", "model.generation_aligner.hidden_layers.{a1}"),
    ("gen_embed", "model.generation_embeddings"),
    ("gen_head.proj", "model.generation_head.proj_out"),
    ("gen_head.out", "model.generation_head.vision_head"),
    ("vq.codebook", "model.vqmodel.quantize.embedding"),
    ("vq.encoder.levels.{a}.resample.conv", "model.vqmodel.encoder.down.{a}.downsample.conv"),
    ("vq.decoder.levels.{a}.resample.conv", "model.vqmodel.decoder.up.{a}.upsample.conv"),
    *(
        row
        for side, levels in (("encoder", "down"), ("decoder", "up"))
        for row in (
            (
                f"vq.{side}.levels.{{a}}.res.{{b}}.shortcut",
                f"model.vqmodel.{side}.{levels}.{{a}}.block.{{b}}.nin_shortcut",
            ),
            (f"vq.{side}.levels.{{a}}.res.{{b}}.{{leaf}}", f"model.vqmodel.{side}.{levels}.{{a}}.block.{{b}}.{{leaf}}"),
            (
                f"vq.{side}.levels.{{a}}.attn.{{b}}.qkv",
                f"model.vqmodel.{side}.{levels}.{{a}}.attn.{{b}}.q",
                f"model.vqmodel.{side}.{levels}.{{a}}.attn.{{b}}.k",
                f"model.vqmodel.{side}.{levels}.{{a}}.attn.{{b}}.v",
            ),
            (f"vq.{side}.levels.{{a}}.attn.{{b}}.{{leaf}}", f"model.vqmodel.{side}.{levels}.{{a}}.attn.{{b}}.{{leaf}}"),
        )
    ),
    ("vq.{side}.mid.0.shortcut", "model.vqmodel.{side}.mid.block_1.nin_shortcut"),
    ("vq.{side}.mid.0.{leaf}", "model.vqmodel.{side}.mid.block_1.{leaf}"),
    (
        "vq.{side}.mid.1.qkv",
        "model.vqmodel.{side}.mid.attn_1.q",
        "model.vqmodel.{side}.mid.attn_1.k",
        "model.vqmodel.{side}.mid.attn_1.v",
    ),
    ("vq.{side}.mid.1.{leaf}", "model.vqmodel.{side}.mid.attn_1.{leaf}"),
    ("vq.{side}.mid.2.{leaf}", "model.vqmodel.{side}.mid.block_2.{leaf}"),
    ("vq.{side}.{leaf}", "model.vqmodel.{side}.{leaf}"),
    ("vq.{leaf}", "model.vqmodel.{leaf}"),
    (
        "language.layers.{a}.attention.qkv",
        "model.language_model.layers.{a}.self_attn.q_proj",
        "model.language_model.layers.{a}.self_attn.k_proj",
        "model.language_model.layers.{a}.self_attn.v_proj",
    ),
    ("language.layers.{a}.attention.out", "model.language_model.layers.{a}.self_attn.o_proj"),
    (
        "language.layers.{a}.mlp.gate_up",
        "model.language_model.layers.{a}.mlp.gate_proj",
        "model.language_model.layers.{a}.mlp.up_proj",
    ),
    ("language.layers.{a}.mlp.down", "model.language_model.layers.{a}.mlp.down_proj"),
    ("language.layers.{a}.attention_norm", "model.language_model.layers.{a}.input_layernorm"),
    ("language.layers.{a}.mlp_norm", "model.language_model.layers.{a}.post_attention_layernorm"),
    ("language.{leaf}", "model.language_model.{leaf}"),
    ("lm_head", "lm_head"),
)

TRANSFORMERS_FORMAT = Format(
    TRANSFORMERS, unused=(r"model\.vqmodel\.quantize\.codebook_used",), reshaped={"vision.pos_embed": 1}
)

# Defaults of transformers' JanusVisionConfig and JanusVQVAEConfig: its files leave out what equals them.
VISION = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "image_size": 384, "patch_size": 16,
    "mlp_ratio": 4.0, "projection_dim": 2048, "depth": 2,
}  # fmt: skip
VQ = {
    "embed_dim": 8, "num_embeddings": 16384, "latent_channels": 256, "base_channels": 128,
    "channel_multiplier": (1, 1, 2, 2, 4), "num_res_blocks": 2, "projection_dim": 2048, "num_hidden_layers": 2,
    "image_token_embed_dim": 2048,
}  # fmt: skip
# What our modules hard-code because every Janus has it; anything else is refused by name.
FIXED: Mapping[str, Mapping[str, object]] = {
    "vision_config": {
        "hidden_act": "gelu", "layer_norm_eps": 1e-6, "attention_bias": True, "use_qk_norm": False, "num_channels": 3,
    },
    "vq_config": {"double_latent": False, "in_channels": 3, "out_channels": 3, "hidden_act": "gelu"},
}  # fmt: skip


def read_converted(raw: Mapping[str, Any], *, own_head: bool) -> JanusProConfig:
    """The configuration in a parsed ``config.json`` of model type ``janus``.

    ``own_head`` says that the weights hold an ``lm_head`` of their own. It is then used: DeepSeek's checkpoints do not
    tie it to the embeddings, while transformers' Janus configuration says by default that it is.
    """
    for name, keys in FIXED.items():
        for key, value in keys.items():
            expect(f"{name}.{key}", section(raw, name).get(key, value), value)
    vision, vq = {**VISION, **section(raw, "vision_config")}, {**VQ, **section(raw, "vq_config")}
    text = section(raw, "text_config")
    tied = not own_head and bool(raw.get("tie_word_embeddings", text.get("tie_word_embeddings", True)))
    widths = {"width": vision["hidden_size"], "layers": vision["num_hidden_layers"]}
    widths |= {"heads": vision["num_attention_heads"]}
    return read_config(
        {
            "vision_config": {
                "params": {
                    "model_name": "janus_vision_model",
                    **widths,
                    **{key: vision[key] for key in ("image_size", "patch_size", "mlp_ratio")},
                }
            },
            "aligner_config": {
                "params": {
                    "depth": vision["depth"],
                    "input_dim": vision["hidden_size"],
                    "n_embed": vision["projection_dim"],
                }
            },
            "gen_vision_config": {
                "params": {
                    "image_token_size": vq["num_embeddings"],
                    "n_embed": vq["embed_dim"],
                    "ch": vq["base_channels"],
                    "encoder_ch_mult": vq["channel_multiplier"],
                    "decoder_ch_mult": vq["channel_multiplier"],
                    "z_channels": vq["latent_channels"],
                    "num_res_blocks": vq["num_res_blocks"],
                }
            },
            "gen_aligner_config": {
                "params": {
                    "depth": vq["num_hidden_layers"],
                    "input_dim": vq["embed_dim"],
                    "n_embed": vq["projection_dim"],
                }
            },
            "gen_head_config": {
                "params": {
                    "image_token_embed": vq["projection_dim"],
                    "image_token_size": vq["num_embeddings"],
                    "n_embed": vq["image_token_embed_dim"],
                }
            },
            "language_config": {**text, "tie_word_embeddings": tied},
        }
    )
