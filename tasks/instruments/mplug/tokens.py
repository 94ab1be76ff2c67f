"""BERT's words: a question as ids, ids as an answer, as ModelScope's preprocessor and BertTokenizer have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from janus_eval.errors import UserError
from janus_eval.tasks.instruments.mplug.beams import END, START

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LENGTH = 25
"""Tokens of a question, [CLS] and [SEP] among them: ModelScope cuts longer ones, and pads shorter ones."""
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")

# What BertTokenizer does to a text last of all: punctuation goes back to its word.
TIDIED = (
    (" .", "."), (" ?", "?"), (" !", "!"), (" ,", ","), (" ' ", "'"), (" n't", "n't"), (" 'm", "'m"), (" 's", "'s"),
    (" 've", "'ve"), (" 're", "'re"),
)  # fmt: skip


class Vocabulary:
    """A ``vocab.txt``, one token a line. Raises UserError where BERT's special tokens are not where they must be."""

    def __init__(self, path: Path) -> None:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: {error}") from error
        self.words = text.removesuffix("\n").split("\n")
        self.ids = {word: place for place, word in enumerate(self.words)}
        for word, place in (("[CLS]", START), ("[SEP]", END)):
            if self.ids.get(word) != place:
                raise UserError(f"{path}: {word} is in line {self.ids.get(word, -1) + 1}, expected in line {place + 1}")
        if missing := [word for word in SPECIAL if word not in self.ids]:
            raise UserError(f"{path} has no {', '.join(missing)}; BERT's vocab.txt is expected")

    def __len__(self) -> int:
        return len(self.words)

    def encode(self, questions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids [Q, LENGTH] int64, and which of them are not padding, bool. Letter case is ignored."""
        encodings = self._tokenizer.encode_batch([question.lower() for question in questions])
        ids = torch.tensor([encoding.ids for encoding in encodings]).reshape(-1, LENGTH)
        real = torch.tensor([encoding.attention_mask for encoding in encodings]).reshape(-1, LENGTH)
        return ids, real.bool()

    def decode(self, ids: Sequence[int]) -> str:
        """Without special tokens; an unknown word is one of them."""
        text = " ".join(word for word in (self.words[place] for place in ids) if word not in SPECIAL)
        text = re.sub(" ##", "", text).strip()
        for apart, tidy in TIDIED:
            text = text.replace(apart, tidy)
        return text

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

        tokenizer = Tokenizer(models.WordPiece(self.ids, unk_token="[UNK]", max_input_chars_per_word=100))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", START), ("[SEP]", END)]
        )
        tokenizer.enable_truncation(LENGTH)
        tokenizer.enable_padding(length=LENGTH, pad_id=self.ids["[PAD]"])
        return tokenizer
