"""Words and figures, written the same way in the terminal and on the page."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from typing import Any

# Decimals by unit: one more digit than half an interval's width usually has.
DECIMALS = {"fraction": 2, "percent": 1, "points": 1, "dB": 1, "fid": 2, "clip_x100": 2}
UNITS = {"percent": "percent", "points": "points", "dB": "dB", "fid": "FID", "clip_x100": "CLIP score x 100"}
"""What stands beside a name; fractions need no word."""
LESS = frozenset({"cer", "wer", "fid"})
"""What is better where there is less of it: error rates and distances, by unit or by the head of a metric's name."""
MARKS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def upward(unit: str, metric: str = "") -> bool:
    """Whether more of a metric is better: not of FID, nor of ``cer`` and its slices, such as ``cer_size_8``."""
    return unit not in LESS and metric.partition("_")[0] not in LESS


def clean(text: object) -> str:
    """Untrusted text with nothing invisible left in it: controls and bidirectional overrides become visible signs.

    A terminal would obey an escape sequence, and a reader would not see that an answer is written backwards; newlines
    and tabs stay.
    """
    plain = str(text)
    return plain if plain.isascii() and plain.isprintable() else "".join(map(_visible, plain))


def _visible(character: str) -> str:
    code = ord(character)
    if character in "\n\t" or 0x20 <= code < 0x7F:
        return character
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    category = unicodedata.category(character)
    if category == "Cs":
        return "\ufffd"
    # U+200D joins emoji and U+200C parts letters in several scripts: they belong to honest text.
    if category in {"Cc", "Cf", "Zl", "Zp"} and code not in {0x200C, 0x200D}:
        return f"⟨U+{code:04X}⟩"
    return character


def clip(text: object, limit: int = 300) -> str:
    """Clean text, cut after ``limit`` characters with the full length named."""
    whole = clean(text)
    return whole if len(whole) <= limit else f"{whole[:limit].rstrip()}… ({len(whole):,} characters)"


def line(text: object, limit: int = 80) -> str:
    """Clean text on one line, at most ``limit`` characters."""
    flat = " ".join(clean(text).split())
    return flat if len(flat) <= limit else flat[: limit - 1].rstrip() + "…"


def fitted(text: object, limit: int) -> str:
    """Clean text on one line, cut in its middle: what tells names apart mostly stands at their ends."""
    flat = line(text, 1000)
    if len(flat) <= limit:
        return flat
    end = (limit - 1) // 2
    return f"{flat[: limit - 1 - end].rstrip()}…{flat[-end:].lstrip()}"


def plain(value: Any, limit: int = 300) -> str:
    """A JSON value as a reader wants it: text as it is, the rest as compact JSON."""
    return clip(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str), limit)


def number(value: float | None, unit: str) -> str:
    """``0.72``, ``71.3`` or, where nothing was scored, a dash."""
    return "–" if value is None else f"{value:.{DECIMALS[unit]}f}"


def interval(low: float | None, high: float | None, unit: str) -> str:
    """``0.65–0.77``; empty where there is none."""
    return "" if low is None or high is None else f"{number(low, unit)}–{number(high, unit)}"


def count(n: int, noun: str, plural: str = "") -> str:
    """``1 prompt``, ``1,240 prompts``."""
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "none"


def mark(n: int) -> str:
    """A footnote's mark: ``¹``."""
    return str(n).translate(MARKS)
