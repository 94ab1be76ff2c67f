"""Tiny pipelines of diffusers with random weights, built on the spot and saved as their publishers save theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

SIDE = 16
"""Pixels that the tiny pipelines draw when they are asked for no size."""


def tokenizer(folder: Path) -> CLIPTokenizer:
    """CLIP's kind, without merges: every letter is a token."""
    letters = "abcdefghijklmnopqrstuvwxyz,."
    words = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: place for place, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=77)


def text_config(size: int = 16) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=58, hidden_size=size, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
        projection_dim=16, bos_token_id=56, eos_token_id=57, pad_token_id=57, max_position_embeddings=77,
    )  # fmt: skip


def autoencoder(**further: Any) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8), down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4, norm_num_groups=4, sample_size=SIDE, **further,
    )  # fmt: skip


def unet(context: int, **further: Any) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        block_out_channels=(8, 16), layers_per_block=1, sample_size=SIDE // 2, in_channels=4, out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=context, attention_head_dim=4, norm_num_groups=4, **further,
    )  # fmt: skip


def shaken(module: torch.nn.Module) -> torch.nn.Module:
    """Weights large enough that prompt, seed and guidance show in every picture."""
    torch.manual_seed(0)
    for name, parameter in module.named_parameters():
        gain = 5 if any(part in name for part in ("attn2", "embedding", "context", "add_")) else 1
        torch.nn.init.normal_(parameter, std=0.3 if parameter.ndim == 1 else gain * parameter[0].numel() ** -0.5)
    return module.eval()


def sd(folder: Path, *, checker: bool = False) -> Any:
    clip = CLIPConfig(
        text_config=text_config().to_dict(), projection_dim=16,
        vision_config={"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
                       "image_size": 32, "patch_size": 8, "projection_dim": 16},
    )  # fmt: skip
    return StableDiffusionPipeline(
        vae=shaken(autoencoder()), text_encoder=shaken(CLIPTextModel(text_config())), tokenizer=tokenizer(folder),
        unet=shaken(unet(16)), scheduler=DDIMScheduler(clip_sample=False, steps_offset=1),
        safety_checker=shaken(StableDiffusionSafetyChecker(clip)) if checker else None,
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32) if checker else None,
        requires_safety_checker=checker,
    )  # fmt: skip


def sdxl(folder: Path) -> Any:
    names = tokenizer(folder)
    network = unet(
        32, addition_embed_type="text_time", addition_time_embed_dim=8, transformer_layers_per_block=(1, 1),
        projection_class_embeddings_input_dim=16 + 6 * 8, use_linear_projection=True,
    )  # fmt: skip
    return StableDiffusionXLPipeline(
        vae=shaken(autoencoder()), text_encoder=shaken(CLIPTextModel(text_config())),
        text_encoder_2=shaken(CLIPTextModelWithProjection(text_config())), tokenizer=names, tokenizer_2=names,
        unet=shaken(network), scheduler=EulerDiscreteScheduler(), add_watermarker=False,
    )  # fmt: skip


def sd3(folder: Path) -> Any:
    names = tokenizer(folder)
    network = SD3Transformer2DModel(
        sample_size=SIDE // 2, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=4,
        caption_projection_dim=32, joint_attention_dim=32, pooled_projection_dim=32, out_channels=4,
    )  # fmt: skip
    encoder, other = (shaken(CLIPTextModelWithProjection(text_config())) for _ in range(2))
    return StableDiffusion3Pipeline(
        transformer=shaken(network), scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=shaken(autoencoder(shift_factor=0.1)),
        text_encoder=encoder, tokenizer=names, text_encoder_2=other, tokenizer_2=names, text_encoder_3=None,
        tokenizer_3=None,
    )  # fmt: skip


MAKERS: dict[str, Callable[[Path], Any]] = {"sd": sd, "sdxl": sdxl, "sd3": sd3}


def saved(make: Callable[[Path], Any], folder: Path, **how: Any) -> Path:
    """The folder of a pipeline as ``save_pretrained`` writes it."""
    make(folder / "words").save_pretrained(folder / "pipeline", **how)
    return folder / "pipeline"
