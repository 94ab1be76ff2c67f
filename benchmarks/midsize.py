"""The model that is measured: Janus-Pro at a middling size with random weights, and a whole checkpoint of it.

Hidden size 512, 8 layers, 8 heads, 576 image tokens in and 24 x 24 codes out of a codebook of 16,384, float32. Its
time goes where that of the published models goes: into the decoder's products, its key/value cache and the wide
generation head.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from janus_eval.models.janus_pro.config import JanusProConfig, ProjectorConfig
from janus_eval.models.janus_pro.model import JanusPro
from janus_eval.models.janus_pro.vq import VQConfig
from janus_eval.models.janus_pro.weights import save_checkpoint
from janus_eval.models.parts.llama import LlamaConfig
from janus_eval.models.parts.processor import Tags
from janus_eval.models.parts.siglip import SiglipConfig
from janus_eval.models.parts.weights import materialize
from janus_eval.pictures import Picture

CODES = 576
ROLES = ("<|User|>", "<|Assistant|>")
# An answer's end token is found by random weights one time in 32,000: in practice answers run to their limit.
NEW_TOKENS = 4


def mid_config() -> JanusProConfig:
    language = LlamaConfig(
        vocab_size=32000,
        hidden_size=512,
        intermediate_size=1408,
        num_hidden_layers=8,
        num_attention_heads=8,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=2048,
    )
    vision = SiglipConfig(image_size=384, patch_size=16, width=512, layers=8, heads=8)
    return joined(language, vision)


def large_config() -> JanusProConfig:
    """Janus-Pro-1B's sizes."""
    return joined(deepseek_llm(2048, 5632, 24), SiglipConfig())


def largest_config() -> JanusProConfig:
    """Janus-Pro-7B's sizes."""
    return joined(deepseek_llm(4096, 11008, 30), SiglipConfig())


def deepseek_llm(width: int, inner: int, layers: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=102400,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=width // 128,
        num_key_value_heads=width // 128,
        head_dim=128,
        max_position_embeddings=16384,
    )


def joined(language: LlamaConfig, vision: SiglipConfig) -> JanusProConfig:
    """With the published image tokenizer, and aligners that fit."""
    vq, hidden = VQConfig(), language.hidden_size
    return JanusProConfig(
        vision=vision,
        aligner=ProjectorConfig(vision.width, hidden, 2),
        vq=vq,
        gen_aligner=ProjectorConfig(vq.codebook_dim, hidden, 2),
        gen_head_width=hidden,
        language=language,
    )


def random_model(config: JanusProConfig, dtype: torch.dtype = torch.float32, device: str = "cpu") -> JanusPro:
    """Weights of about unit gain, so that logits are finite and spread out. Always the same on one kind of device."""
    with torch.device("meta"):
        model = JanusPro(config)
    generator = torch.Generator(device).manual_seed(0)
    for name, parameter in materialize(model, torch.device(device), dtype).items():
        if parameter.ndim > 1:
            parameter.data.normal_(std=parameter[0].numel() ** -0.5, generator=generator)
        else:
            parameter.data.fill_(0.0 if name.endswith("bias") else 1.0)
    return model.eval()


def write_checkpoint(model: JanusPro, folder: Path) -> None:
    """A checkpoint in DeepSeek's format with a tokenizer that gives every word of ``words`` one token."""
    save_checkpoint(model, folder)
    tags = Tags()
    named = [*tags, *ROLES, ":", "[UNK]"]
    vocabulary = {word: k for k, word in enumerate([*named, *(f"w{k}" for k in range(1000))])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens([*tags, *ROLES])
    tokenizer.save(str(folder / "tokenizer.json"))
    for name, content in {
        "tokenizer_config.json": {"bos_token": tags.bos, "eos_token": tags.eos},
        "preprocessor_config.json": {
            "image_size": model.config.vision.image_size,
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
            "min_size": 14,
        },
    }.items():
        (folder / name).write_text(json.dumps(content))


def words(count: int, seed: int = 0) -> str:
    """A text of ``count`` tokens."""
    rng = np.random.default_rng(seed)
    return " ".join(f"w{k}" for k in rng.integers(1000, size=count))


def picture(seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    return Picture.from_pil(Image.fromarray(rng.integers(0, 256, (384, 384, 3), dtype=np.uint8)))


def prompt_ids(count: int, tokens: int = 24) -> Sequence[list[int]]:
    """``count`` different drawing prompts of equal length, with the tokens that start and end them."""
    generator = torch.Generator().manual_seed(1)
    middle = torch.randint(20, 1000, (count, tokens), generator=generator).tolist()
    return [[0, *ids, 4] for ids in middle]
