"""Weights of JanusFlow in DeepSeek's format: the names of its tensors, and writing them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from janus_eval.models.janus_flow.config import JanusFlowConfig
from janus_eval.models.janus_flow.model import JanusFlow
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

ENCODER, DECODER = "vision_gen_enc_model", "vision_gen_dec_model"


def _blocks(ours: str, theirs: str) -> Names:
    ours, theirs = f"{ours}.blocks.{{a}}", f"{theirs}.mid_block.res_blocks.{{a}}"
    return (
        (f"{ours}.fc{{b}}", f"{theirs}.channelwise_linear_{{b}}"),
        (f"{ours}.response", f"{theirs}.channelwise_norm"),
        (f"{ours}.time", f"{theirs}.cond_embeds_mapper"),
        (f"{ours}.{{leaf}}", f"{theirs}.{{leaf}}"),
    )


DEEPSEEK: Names = (
    *siglip_names("vision", "vision_und_enc_model.vision_tower"),
    ("aligner", "vision_und_enc_aligner"),
    ("begin", "beg_of_und_embed"),
    ("gen_encoder.time{b}", f"{ENCODER}.time_embed.linear_{{b}}"),
    ("gen_encoder.patch", f"{ENCODER}.in_conv"),
    *_blocks("gen_encoder", ENCODER),
    ("gen_encoder_aligner", "vision_gen_enc_aligner"),
    ("gen_decoder.norm", f"{DECODER}.input_norm"),
    *_blocks("gen_decoder", DECODER),
    ("gen_decoder.ups.{a}.norm", f"{DECODER}.out_convs.{{a}}.norm"),
    ("gen_decoder.ups.{a}.conv", f"{DECODER}.out_convs.{{a}}.unpatch_conv"),
    ("gen_decoder_norm", "vision_gen_dec_aligner_norm"),
    ("gen_decoder_aligner", "vision_gen_dec_aligner"),
    *LLAMA_NAMES,
)

DEEPSEEK_FORMAT = Format(DEEPSEEK, unused=(r"vision_und_enc_model\.vision_tower\.attn_pool\..+",))


def unused_shapes(config: JanusFlowConfig) -> dict[str, tuple[int, ...]]:
    """Tensors that DeepSeek's code saves and no path of it reads: SigLIP's attention pool."""
    return attention_pool_shapes("vision_und_enc_model.vision_tower", config.vision)


def save_checkpoint(model: JanusFlow, folder: Path, *, dtype: torch.dtype | None = None) -> None:
    """Write ``config.json`` and ``model.safetensors`` in DeepSeek's format; what nothing reads is left out."""
    write_checkpoint(model, DEEPSEEK_FORMAT, lambda kind: deepseek_config(model.config, kind), folder, dtype=dtype)


def deepseek_config(config: JanusFlowConfig, dtype: str = "float32") -> dict[str, object]:
    """A configuration as DeepSeek's ``config.json`` has it, every size spelt out."""
    encoder, decoder, hidden = config.gen_encoder, config.gen_decoder, config.language.hidden_size
    shared: dict[str, object] = {"hidden_size": hidden, "elementwise_affine": True, "dropout": 0.0}
    latents: dict[str, object] = {
        "input_channels": encoder.latent_channels,
        "stride": encoder.stride,
        "kernel_size": encoder.kernel_size,
        "padding": encoder.padding,
        "block_out_channels": [encoder.width],
        "layers_in_middle": encoder.blocks,
        "use_mid_block": encoder.blocks > 0,
        "use_bias": encoder.bias,
        "norm_eps": encoder.norm_eps,
    }
    velocities: dict[str, object] = {
        "in_channels": decoder.width,
        "out_channels": decoder.latent_channels,
        "block_out_channels": [decoder.skip_width],
        "upsamples": decoder.upsamples,
        "layers_in_middle": decoder.blocks,
        "use_mid_block": decoder.blocks > 0,
        "use_bias": decoder.bias,
        "norm_eps": decoder.norm_eps,
    }
    return {
        "model_type": "multi_modality",
        "architectures": ["MultiModalityCausalLM"],
        "torch_dtype": dtype,
        "vision_und_enc_config": part("vision_und_enc", "CLIPVisionTower", siglip_params(config.vision)),
        "vision_gen_enc_config": part("vision_gen_enc", "ShallowUViTEncoder", {**latents, **shared}),
        "vision_gen_dec_config": part("vision_gen_dec", "ShallowUViTDecoder", {**velocities, **shared}),
        "language_config": {"model_type": "llama", "torch_dtype": dtype, **asdict(config.language)},
    }
