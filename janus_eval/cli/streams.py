"""Standard output and error wherever they lead: a terminal of another alphabet, a full disk, a closed pipe, nowhere."""

from __future__ import annotations

import codecs
import contextlib
import errno
import os
import sys
import unicodedata
from pathlib import Path
from typing import TextIO

UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})
_SIGNS = {"–": "-", "—": "-", "─": "-", "━": "-", "…": "...", "’": "'", "‘": "'", "“": '"', "”": '"'}


def prepare() -> None:
    """Make both streams take whatever is printed."""
    codecs.register_error("janus-eval", _plainly)
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:  # the caller closed it
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as we run
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="janus-eval")


def finish() -> None:
    """Leave nothing that the interpreter would fail to write while it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    """What a character is written as that this terminal lacks. A path's odd bytes stay the bytes they are."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    with contextlib.suppress(UnicodeEncodeError):
        return characters.encode("ascii", "surrogateescape"), error.end
    plain = (
        _SIGNS.get(c) or unicodedata.normalize("NFKD", c).encode("ascii", "ignore").decode() or "?" for c in characters
    )
    return "".join(plain), error.end
