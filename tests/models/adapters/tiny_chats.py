"""Tiny image-text-to-text models of transformers with random weights, built on the spot: LLaVA, Qwen2-VL, Janus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    JanusConfig,
    JanusForConditionalGeneration,
    JanusImageProcessor,
    JanusProcessor,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLProcessor,
)

LLAVA_TEMPLATE = (
    "{% for m in messages %}{{ {'user': 'USER: ', 'system': '', 'assistant': 'ASSISTANT: '}[m['role']] }}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<image>\n{% endif %}{% endfor %}"
    "{% for c in m['content'] %}{% if c['type'] == 'text' %}{{ c['text'] }}{% endif %}{% endfor %}"
    "{{ ' ' }}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
QWEN_TEMPLATE = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{% if c['type'] == 'image' %}"
    "<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
JANUS_TEMPLATE = (
    "<s>{% for m in messages %}{{ {'user': '<|User|>: ', 'system': '', 'assistant': '<|Assistant|>: '}[m['role']] }}"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}<image_placeholder>\n{% else %}{{ c['text'] }}{% endif %}"
    "{% endfor %}{% if m['role'] == 'user' %}\n\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|Assistant|>:{% endif %}"
)
SEEDS = {"JanusForConditionalGeneration": 4}
"""Other weights than the first, where these say the same whatever they are asked."""
CHARACTERS = [chr(code) for code in range(32, 127)] + ["\n"]


def tokenizer(special: list[str], **named: str) -> PreTrainedTokenizerFast:
    """Every character is a token, and so is " yes", which a prompt's last space would merge with."""
    vocab = {text: place for place, text in enumerate(["<unk>", "<pad>", "<s>", "</s>", *special, *CHARACTERS])}
    merges = [(" ", "y"), ("e", "s"), (" y", "es")]
    vocab |= {text: len(vocab) + place for place, text in enumerate([" y", "es", " yes"])}
    raw = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n"), "isolated")
    raw.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=raw, unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=special, **named,
    )  # fmt: skip


def language(vocabulary: int) -> dict[str, Any]:
    return {
        "vocab_size": vocabulary, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 400, "bos_token_id": 2,
        "eos_token_id": 3, "pad_token_id": 1, "tie_word_embeddings": False,
    }  # fmt: skip


def shaken(model: Any) -> Any:
    """Weights large enough that image and question show in every answer."""
    torch.manual_seed(SEEDS.get(type(model).__name__, 1))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5 if parameter.ndim == 1 else 2 * parameter[0].numel() ** -0.5)
    return model.eval()


def saved(model: Any, processor: Any, folder: Path, **further: Any) -> Path:
    # What publishers recommend, and benchmarks are not asked with.
    recommended = {"do_sample": True, "temperature": 0.1, "repetition_penalty": 1.5, "eos_token_id": 3, **further}
    for name, value in recommended.items():
        setattr(model.generation_config, name, value)
    shaken(model).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def llava(folder: Path) -> Path:
    words = tokenizer(["<image>"], image_token="<image>")
    vision = CLIPVisionConfig(
        hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=3, image_size=32, patch_size=8
    )
    config = LlavaConfig(
        vision_config=vision.to_dict(), text_config=LlamaConfig(**language(len(words))).to_dict(),
        image_token_index=words.convert_tokens_to_ids("<image>"), image_seq_length=16,
    )  # fmt: skip
    processor = LlavaProcessor(
        CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32), words, patch_size=8,
        vision_feature_select_strategy="default", num_additional_image_tokens=1, chat_template=LLAVA_TEMPLATE,
    )  # fmt: skip
    return saved(LlavaForConditionalGeneration(config), processor, folder)


def qwen(folder: Path) -> Path:
    from transformers import Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    special = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "<|im_start|>", "<|im_end|>"]
    words = tokenizer(special, image_token="<|image_pad|>", video_token="<|video_pad|>")
    ids = {name: words.convert_tokens_to_ids(f"<|{name}|>") for name in ("vision_start", "vision_end", "image_pad")}
    sizes = {"patch_size": 4, "temporal_patch_size": 2, "merge_size": 2}
    text = {**language(len(words)), "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2]}}
    config = Qwen2VLConfig(
        text_config={**text, "rope_theta": 10000.0},
        vision_config={"embed_dim": 32, "depth": 2, "num_heads": 4, "hidden_size": 32, "mlp_ratio": 2, "patch_size": 4,
                       "spatial_merge_size": 2, "temporal_patch_size": 2},
        image_token_id=ids["image_pad"], video_token_id=words.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=ids["vision_start"], vision_end_token_id=ids["vision_end"],
    )  # fmt: skip
    processor = Qwen2VLProcessor(
        Qwen2VLImageProcessor(min_pixels=64, max_pixels=1024, **sizes), words,
        Qwen2VLVideoProcessor(min_pixels=64, max_pixels=1024, **sizes), chat_template=QWEN_TEMPLATE,
    )  # fmt: skip
    return saved(Qwen2VLForConditionalGeneration(config), processor, folder)


def janus(folder: Path) -> Path:
    named = {"image_token": "<image_placeholder>", "boi_token": "<begin_of_image>", "eoi_token": "<end_of_image>"}
    words = tokenizer([*named.values(), "<|User|>", "<|Assistant|>"], **named)
    config = JanusConfig(
        text_config=LlamaConfig(**language(len(words))).to_dict(),
        vision_config={"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 32,
                       "patch_size": 8, "projection_dim": 32, "num_image_tokens": 16, "mlp_ratio": 2.0, "depth": 2},
        vq_config={"embed_dim": 8, "num_embeddings": 32, "latent_channels": 8, "base_channels": 32,
                   "channel_multiplier": [1, 1], "num_res_blocks": 1, "num_patches": 4, "projection_dim": 32,
                   "image_token_embed_dim": 32, "num_hidden_layers": 2, "out_channels": 3},
        image_token_id=words.convert_tokens_to_ids("<image_placeholder>"),
    )  # fmt: skip
    processor = JanusProcessor(
        JanusImageProcessor(size={"height": 32, "width": 32}), words, num_image_tokens=16, chat_template=JANUS_TEMPLATE
    )
    return saved(JanusForConditionalGeneration(config), processor, folder, bos_token_id=2, pad_token_id=1)


MAKERS: dict[str, Callable[[Path], Path]] = {"llava": llava, "qwen": qwen, "janus": janus}
