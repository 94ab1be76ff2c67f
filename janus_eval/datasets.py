"""Data sets by name: which files a publisher offers, where they lie on this machine, whether they are the right ones.

The core knows no benchmark: a plugin's table ``datasets`` points at ``Dataset`` objects. A task asks ``find`` for a
file and gets a path whose content has been checked, or a UserError whose line names the command that gets it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path

from janus_eval import plugins
from janus_eval.disk import user_folder
from janus_eval.errors import UserError

VARIABLE = "JANUS_EVAL_DATA"
"""The environment variable that names the data folder."""

CHECKSUMS = ("sha256", "md5", "git-blob", "git-tree")
_first: ContextVar[Path | None] = ContextVar("janus_eval_data", default=None)


@dataclass(frozen=True, slots=True)
class File:
    """One published file, or one folder out of a published zip.

    ``checksum`` is ``KIND:HEX``: ``sha256``; ``md5`` where the publisher states nothing better; ``git-blob``, the name
    that git gives to a file's content; ``git-tree``, the one it gives to a folder, which covers every file in it.
    ``size`` in bytes, None where it isn't known. ``inside`` is the zip's folder that becomes ``name``; "" for a file
    that is taken as it comes.
    """

    name: str
    url: str
    checksum: str
    size: int | None = None
    inside: str = ""

    def __post_init__(self) -> None:
        kind, _, digest = self.checksum.partition(":")
        assert kind in CHECKSUMS and digest, f"{self.name}: checksum {self.checksum!r} is not KIND:HEX"
        assert self.name == Path(self.name).name and not self.name.startswith("."), f"{self.name!r} is no file name"
        assert bool(self.inside) == (kind == "git-tree"), f"{self.name}: only a folder out of a zip has a git-tree"


@dataclass(frozen=True, slots=True)
class Dataset:
    """What a plugin offers: the files, under whose licence, and where all of this is published."""

    name: str
    title: str
    files: tuple[File, ...]
    licence: str
    source: str

    def file(self, name: str) -> File:
        """Raises UserError for a name that is none of the files'."""
        known = {file.name: file for file in self.files}
        if name not in known:
            raise UserError(
                f"data set {self.name!r} has no file {name!r}{plugins.near(name, list(known))} "
                f"(it has {', '.join(known)})"
            )
        return known[name]


def root() -> Path:
    """The data folder: what JANUS_EVAL_DATA says, else ``janus-eval/data`` in the user's cache folder."""
    return user_folder(VARIABLE, "data")


def look_first_in(folder: Path | None) -> None:
    """Have ``find`` look there before the data folder. Raises UserError where there is no such folder."""
    if folder is not None and not folder.is_dir():
        raise UserError(f"--data {folder} is no folder; it takes one that holds the files under their published names")
    _first.set(folder)


def places(dataset: Dataset, file: File, folder: Path | None = None) -> Iterator[Path]:
    """Where a file may lie: ``FOLDER/DATASET/FILE`` or ``FOLDER/FILE``; by default in --data, then the data folder."""
    for parent in (_first.get(), root()) if folder is None else (folder,):
        if parent is not None:
            yield from (parent / dataset.name / file.name, parent / file.name)


def find(dataset: Dataset, name: str) -> Path:
    """The path of a published file, its content checked. Raises UserError where it is missing or another one."""
    file = dataset.file(name)
    command = f"janus-eval fetch {dataset.name}/{name}"
    path = next((place for place in places(dataset, file) if place.exists()), None)
    if path is None:
        raise UserError(f"{name} is not on this machine: {command} (or --data DIR, a folder that holds it)")
    fault = unlike(path, file)
    if fault:
        raise UserError(f"{path} is not the published {name} ({fault}): delete it, then {command}")
    return path


def folders() -> list[Path]:
    """Where data are looked for: --data if it was given, then the data folder."""
    return [parent for parent in (_first.get(), root()) if parent is not None]


def own_folder(name: str, what: str) -> Path:
    """A folder with the user's own files: ``NAME`` in --data, else in the data folder. No checksum is asked of it.

    ``what`` the files are, for the line that a UserError has where there is no such folder.
    """
    found = next((parent / name for parent in folders() if (parent / name).is_dir()), None)
    if found is None:
        raise UserError(
            f"there is no folder {name!r} with {what}: make {root() / name}, or --data DIR, where DIR holds {name!r}"
        )
    return found


def unlike(path: Path, file: File) -> str:
    """How what lies there differs from what was published; "" if it doesn't. Raises UserError if it can't be read."""
    kind, _, expected = file.checksum.partition(":")
    if path.is_dir() != (kind == "git-tree"):
        return "a folder, not a file" if path.is_dir() else "a file, not a folder"
    try:
        found = checksum(path, kind)
    except OSError as error:
        raise UserError(f"cannot read {error.filename or path}: {error.strerror or error}") from error
    return "" if found == expected else f"{kind} {found}, expected {expected}"


def checksum(path: Path, kind: str) -> str:
    """Hexadecimal digest of a file, or of a folder for ``git-tree``. Raises OSError for what can't be read."""
    assert kind in CHECKSUMS, kind
    if kind == "git-tree":
        return _tree(path).hex()
    if kind == "git-blob":
        return _blob(path).hex()
    return _digest(path, hashlib.new(kind, usedforsecurity=False))


def _digest(path: Path, digest: hashlib._Hash) -> str:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _blob(path: Path) -> bytes:
    """Git's name for a file's content: SHA-1 over its length and its bytes."""
    start = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    return bytes.fromhex(_digest(path, start))


def _tree(folder: Path) -> bytes:
    """Git's name for a folder: SHA-1 over mode, name and hash of each entry. Links and the like count as changed."""
    entries = []
    for path in folder.iterdir():
        name = os.fsencode(path.name)
        if path.is_symlink() or not (path.is_dir() or path.is_file()):
            entries.append((name, b"120000 " + name + b"\0" + bytes(20)))
        elif path.is_dir():
            # Git sorts a folder as if its name ended in a slash.
            entries.append((name + b"/", b"40000 " + name + b"\0" + _tree(path)))
        else:
            entries.append((name, b"100644 " + name + b"\0" + _blob(path)))
    content = b"".join(entry for _, entry in sorted(entries))
    return hashlib.sha1(b"tree %d\0" % len(content) + content, usedforsecurity=False).digest()
