"""Reading the letter of an option out of a free answer, by the rules of two published tools.

Both tools try two things in turn: a letter that stands as a word of its own, then the wording of exactly one option.
What remains unread they hand to a language model; here it stays unread and counts as wrong. The tools part on about one
odd answer in ten, so the rule set is a knob of the judge, never a default that nobody sees.

Sources, read for their behaviour:
- ``vlmevalkit``: open-compass/VLMEvalKit at e8e78f0, ``vlmeval/utils/matching_util.py`` (``can_infer``)
- ``lmms-eval``: EvolvingLMMs-Lab/lmms-eval at 75571cf, ``lmms_eval/tasks/mmbench/mmbench_evals.py`` (``can_infer``)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

Options: TypeAlias = Mapping[str, str]
"""Letter -> wording, only the options that the question has."""

REFUSED = "Z"
"""VLMEvalKit's letter for an answer that declines to choose; it equals no option, so it is wrong."""

API_FAILURE = "Failed to obtain answer via API"
REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
PUNCTUATION = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
# No word boundary after the letter: "the answer is blue" reads as B, there as here.
STATED = re.compile(r"answer\s+is\s+\**([A-D])", re.IGNORECASE)

LMMS_LETTERS = "ABCDE"  # always five, however many options the question has
LMMS_TEXTS = "ABCD"
# Tried in this order, a letter with its prefix and suffix as one word; the first pair that fits one letter decides.
LMMS_AFFIXES = (
    *(("", suffix) for suffix in (".", ",", ":", ")", ").")),
    *(("(", suffix) for suffix in (")", ").")),
    *((":", suffix) for suffix in ("", ",", ".", ")", ").")),
)


def vlmevalkit(answer: str, options: Options) -> str | None:
    """The letter that VLMEvalKit reads without its judge: an option's, ``Z`` for a refusal, None if unreadable."""
    letter = _vlmevalkit_letter(answer, options)
    if letter is not None:
        return letter
    # A long answer may mention an option in passing: beyond twice the options' length no wording is looked for.
    if len(answer.lower()) > 2 * sum(len(text) for text in options.values()):
        return None
    return _only_option_contained(answer, options)


def lmms_eval(answer: str, options: Options) -> str | None:
    """The letter that lmms-eval reads without its judge: ``A`` to ``E``, or None if unreadable."""
    letter = _lmms_letter(answer)
    if letter is not None:
        return letter
    return _only_option_contained(answer, {key: text for key, text in options.items() if key in LMMS_TEXTS})


RULES: dict[str, Callable[[str, Options], str | None]] = {"vlmevalkit": vlmevalkit, "lmms-eval": lmms_eval}


def likeliest(letters: Sequence[str], likelihoods: Sequence[float]) -> str | None:
    """The letter that a model finds likeliest; None where several are: a model without a preference has not answered.

    In half precision such ties do occur. To take the first, as an argmax does, would count a preference for A.
    """
    most = max(likelihoods)
    found = [letter for letter, value in zip(letters, likelihoods, strict=True) if value == most]
    return found[0] if len(found) == 1 else None


def _vlmevalkit_letter(answer: str, options: Options) -> str | None:
    if API_FAILURE in answer:
        return None
    if any(phrase in answer for phrase in REFUSALS):
        return REFUSED
    words = answer.translate(PUNCTUATION).split()
    named = _named(words, tuple(options))
    # One option alone, first mentioned among the last four words: an "A" that opens a sentence is an article.
    if len(named) == 1 and words.index(named[0]) > len(words) - 5:
        return named[0]
    if not named and REFUSED in words:
        return REFUSED
    stated = STATED.search(answer)
    if stated is not None and stated[1].upper() in options:
        return stated[1].upper()
    return None


def _lmms_letter(answer: str) -> str | None:
    if API_FAILURE in answer:
        return None
    words = answer.split()
    named = _named(words, LMMS_LETTERS)
    if len(named) == 1 and not (named == ["A"] and len(words) > 3):  # in a longer answer "A" may be an article
        return named[0]
    for prefix, suffix in LMMS_AFFIXES:
        named = _named(words, LMMS_LETTERS, prefix, suffix)
        if len(named) == 1:
            return named[0]
    return None


def _named(words: Sequence[str], letters: Sequence[str], prefix: str = "", suffix: str = "") -> list[str]:
    return [letter for letter in letters if f"{prefix}{letter}{suffix}" in words]


def _only_option_contained(answer: str, options: Options) -> str | None:
    """The one option whose wording occurs in the answer, in any case. Substrings count: "cat" is in "category"."""
    lowered = answer.lower()
    contained = [letter for letter, text in options.items() if text.lower() in lowered]
    return contained[0] if len(contained) == 1 else None
