"""The prompts of ``ocr-write``: a text in quotation marks, on one of six things, in the language of the text."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import cast

from janus_eval.randomness import seed_of
from janus_eval.tasks.textimages.words import SCRIPTS, Script, draw_words
from janus_eval.types import JSON, Sample

WORDINGS: Mapping[str, Mapping[Script, str]] = {
    "plain": {"latin": 'The text "{}" in black letters on a white background', "chinese": "白色背景上的黑色文字“{}”"},
    "sign": {"latin": 'A wooden sign that says "{}"', "chinese": "一块写着“{}”的木牌"},
    "poster": {
        "latin": 'A red poster with "{}" on it in large white letters',
        "chinese": "一张红色海报，上面用白色大字写着“{}”",
    },
    "shirt": {"latin": 'A white T-shirt with "{}" printed on it', "chinese": "一件印着“{}”的白色T恤"},
    "book": {
        "latin": 'A book whose cover has the title "{}" and nothing else',
        "chinese": "一本书，封面上只有书名“{}”",
    },
    "cake": {"latin": 'A cake with "{}" written on it in icing', "chinese": "一个用糖霜写着“{}”的蛋糕"},
}
"""Nothing in them asks for more text than the one in quotation marks."""
COUNTS = (1, 2, 4)
"""Words a text: in English 4 to 27 characters, in Chinese 2, 4 or 8."""


def samples(ask: Mapping[str, JSON]) -> Sequence[Sample]:
    """A prompt for every script, number of words and wording, each ``texts_per_cell`` times with texts of its own.

    ``ask``: ``texts_per_cell``, ``data_seed``. ``target`` has the text; ``metadata`` has ``script``, ``words``,
    ``wording``. ``category`` is the script with the number of words; in it all wordings come first in turn, so that
    ``--limit 6`` takes one prompt of each.
    """
    return [
        _sample(script, count, wording, number, cast(int, ask["data_seed"]))
        for script in SCRIPTS
        for count in COUNTS
        for number in range(cast(int, ask["texts_per_cell"]))
        for wording in WORDINGS
    ]


def _sample(script: Script, count: int, wording: str, number: int, seed: int) -> Sample:
    name = f"{script}-{count}-{wording}-{number:02d}"
    text = draw_words(script, count, random.Random(seed_of(seed, "text prompts", name, 0)))
    return Sample(
        name,
        inputs={"prompt": WORDINGS[wording][script].format(text)},
        target={"text": text},
        group=name,
        category=f"{script} words {count}",
        metadata={"script": script, "words": count, "wording": wording},
    )
