"""Published weights of instruments: where they lie on this machine, and whether they are what their name says."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from janus_eval.disk import user_folder
from janus_eval.errors import AbsentError, UserError

VARIABLE = "JANUS_EVAL_WEIGHTS"
"""The environment variable that names the folder of weights."""

_HASHED = re.compile(r".*-([0-9a-f]{8})\.\w+")
DIGITS = 8
"""Of a SHA-256 at the end of a file's name, as OpenMMLab has it."""


def folder() -> Path:
    """What JANUS_EVAL_WEIGHTS says, else ``janus-eval/weights`` in the user's cache folder."""
    return user_folder(VARIABLE, "weights")


def published(url: str, what: str) -> Path:
    """The file of ``url``, by its published name, in the folder of weights. Raises AbsentError with how to get it."""
    path = folder() / url.rpartition("/")[2]
    if not path.is_file():
        raise AbsentError(
            f"{what}: {path} is not there; download {url} into that folder, or name the folder that has it: "
            f"{VARIABLE}=FOLDER"
        )
    return path


def named_digits(name: str) -> str:
    """The digits of a SHA-256 that a file's name ends in; "" where it has none."""
    found = _HASHED.fullmatch(name)
    return found[1] if found else ""


def checked(path: Path) -> str:
    """SHA-256 of a file, hexadecimal.

    Raises UserError where the file's name ends in the first digits of another, or the file can't be read.
    """
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                found.update(chunk)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    digest = found.hexdigest()
    if named_digits(path.name) not in {"", digest[:DIGITS]}:
        raise UserError(f"{path} is not what its name says: its SHA-256 begins with {digest[:DIGITS]}; fetch it again")
    return digest
