"""Published weights of instruments: where they lie on this machine, and whether they are what they should be."""

from __future__ import annotations

import hashlib
import importlib.util
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from janus_eval.checkpoint import misfits, some
from janus_eval.disk import user_folder
from janus_eval.errors import AbsentError, UserError

if TYPE_CHECKING:
    from torch import Tensor

VARIABLE = "JANUS_EVAL_WEIGHTS"
"""The environment variable that names the folder of weights."""

_HASHED = re.compile(r".*-([0-9a-f]{8})\.\w+")
DIGITS = 8
"""Of a SHA-256 at the end of a file's name, as OpenMMLab has it."""


class WeightFile:
    """The weights that an instrument was made with: a file that is given, else the published one of ``url``.

    ``sha256``: of the published one, or the first digits of it. The published file is looked for when it is first
    needed, and a run that is only judged again does not need it. Raises UserError where a file that is given can't be
    read or is not what its name says.
    """

    def __init__(self, url: str, what: str, sha256: str, given: Path | None = None) -> None:
        self._url, self._what, self._given = url, what, given
        self.sha256 = checked(given) if given else sha256
        """Known without the published file."""

    @cached_property
    def path(self) -> Path:
        """Where the file is, once its SHA-256 is right. Raises AbsentError where it is not there, UserError where it
        is another one."""
        if self._given:
            return self._given
        path = published(self._url, self._what)
        found = checked(path)
        if not found.startswith(self.sha256):
            raise UserError(f"{path} is not the published file: its SHA-256 is {found}; download {self._url} again")
        return path


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


def expect_module(module: str, extra: str, what: str) -> None:
    """Raise AbsentError where a module is not installed that comes with one of the project's extras."""
    if importlib.util.find_spec(module) is None:
        raise AbsentError(f"{what} needs {module}, which is not installed: pip install 'janus-eval[{extra}]'")


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


def refuse_misfits(where: str, shapes: Mapping[str, Sequence[int]], tensors: Mapping[str, Tensor]) -> None:
    """Raise UserError for tensors that are missing, unknown, of another shape or not floating point.

    ``shapes``: what the network wants, by the checkpoint's names. ``where`` names the checkpoint.
    """
    problems = misfits(shapes, {name: tuple(tensor.shape) for name, tensor in tensors.items()})
    read = [(name, tensors[name]) for name in shapes if name in tensors]
    if typed := [f"{name} ({tensor.dtype})" for name, tensor in read if not tensor.is_floating_point()]:
        problems.append(f"{len(typed)} are no floating point numbers: {some(typed)}")
    if problems:
        raise UserError(f"{where}: its weights do not fit. " + "; ".join(problems))
