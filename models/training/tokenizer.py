"""A small tokenizer in the published checkpoints' file format, for a world of few words.

Byte-level BPE like DeepSeek's, so that any text can be written in it; every word of the given vocabulary becomes one
token, with and without the space before it, and capital letters and digits stay single, so that written words are
spelled out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
IMAGE, IMAGE_START, IMAGE_END = "<image_placeholder>", "<begin_of_image>", "<end_of_image>"
SPECIAL_TOKENS = [BOS, EOS, PAD, IMAGE, IMAGE_START, IMAGE_END, "<|User|>", "<|Assistant|>"]


def build_tokenizer(words: Iterable[str]) -> Tokenizer:
    """A tokenizer in which each of ``words`` is one token. The same words give the same tokenizer."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?[A-Z]?[a-z]+| ?[A-Z0-9]|\n+| ?[^\sA-Za-z0-9]|\s"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    known = sorted(set(words))
    # The separators of the chat template are tokens too; each word counts many times, so that its merges are complete.
    corpus = [form for word in known for form in (word, f" {word}")] + ["\n\n", "\n"]
    trainer = trainers.BpeTrainer(
        vocab_size=100_000,
        min_frequency=1,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, *, image_size: int, image_tokens: int) -> None:
    """Write tokenizer and processor files as the published checkpoints have them."""
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "LlamaTokenizerFast", "bos_token": BOS, "eos_token": EOS, "pad_token": PAD,
         "model_max_length": 4096, "clean_up_tokenization_spaces": False},
    )  # fmt: skip
    write_json(
        folder / "special_tokens_map.json",
        {"bos_token": BOS, "eos_token": EOS, "pad_token": PAD, "additional_special_tokens": SPECIAL_TOKENS[3:]},
    )
    write_json(
        folder / "processor_config.json",
        {"processor_class": "VLChatProcessor", "image_tag": IMAGE, "image_start_tag": IMAGE_START,
         "image_end_tag": IMAGE_END, "pad_tag": PAD, "num_image_tokens": image_tokens, "add_special_token": False,
         "sft_format": "deepseek", "mask_prompt": True, "ignore_id": -100},
    )  # fmt: skip
    write_json(
        folder / "preprocessor_config.json",
        {"image_processor_type": "VLMImageProcessor", "processor_class": "VLChatProcessor", "image_size": image_size,
         "min_size": 14, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": [0.5, 0.5, 0.5],
         "image_std": [0.5, 0.5, 0.5], "background_color": [127, 127, 127]},
    )  # fmt: skip


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
