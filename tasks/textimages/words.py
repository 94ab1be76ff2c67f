"""The words that texts are made of: common English and Chinese ones, in ``words.json`` beside this file.

English words have four to six letters, no wide ones, Chinese words two characters: each fits a line of 96 px.
"""

from __future__ import annotations

import json
import random
import string
from functools import cache
from pathlib import Path
from typing import Literal, TypeAlias

Script: TypeAlias = Literal["latin", "chinese"]
SCRIPTS: tuple[Script, ...] = ("latin", "chinese")
PUNCTUATION = "，。！？：；、（）“”"
"""Chinese punctuation that the fonts have beside the words' characters and printable ASCII."""


@cache
def words() -> dict[Script, tuple[str, ...]]:
    """All words by script, each once."""
    table = json.loads(Path(__file__).with_name("words.json").read_text(encoding="utf-8"))
    return {script: tuple(table[script]) for script in SCRIPTS}


@cache
def characters() -> frozenset[str]:
    """What the fonts can draw."""
    ascii_ = string.ascii_letters + string.digits + string.punctuation + " "
    return frozenset(ascii_ + PUNCTUATION + "".join(words()["chinese"]))


def draw_words(script: Script, count: int, rng: random.Random) -> str:
    """``count`` different words as one text: English with spaces between them, Chinese without."""
    chosen = rng.sample(words()[script], count)
    return (" " if script == "latin" else "").join(chosen)


def is_han(character: str) -> bool:
    """A Chinese character, or one of its punctuation marks: no space stands beside it, and a line may end after it."""
    return "\u4e00" <= character <= "\u9fff" or character in PUNCTUATION
