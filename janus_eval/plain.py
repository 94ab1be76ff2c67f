"""Text from outside, made fit for a terminal and for one line of a record."""

from __future__ import annotations

LONGEST = 600
"""Characters of a reason or an error message; a prompt of 10,000 words may be quoted in one."""


def visible(text: str, keep: str = "") -> str:
    """Controls, lone surrogates and the like as escapes, so that no text can command a terminal."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)


def one_line(text: object, most: int = LONGEST) -> str:
    """Visible text on one line. Too long a one keeps its beginning and its end, where the cure stands."""
    line = visible(" ".join(str(text).split()))
    if len(line) <= most:
        return line
    head = most * 2 // 3
    return f"{line[:head]} [... {len(line) - most:,} characters ...] {line[head - most :]}"
