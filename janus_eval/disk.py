"""The disk, with suspicion: names from outside, whole files or none, one writer at a time, full disks."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from janus_eval.errors import UserError

_PLAIN = re.compile(r"[a-z0-9_-][a-z0-9._-]{0,79}")


def user_folder(variable: str, kind: str) -> Path:
    """The folder that an environment variable names, else ``janus-eval/KIND`` in the user's cache folder."""
    if named := os.environ.get(variable):
        return Path(named).expanduser()
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "janus-eval" / kind


def safe_name(name: str) -> str:
    """A file name for any string: no traversal, no two strings with one name, at most 80 characters.

    Plain names stay as they are. Others keep what is readable and gain ``~`` and a hash, which no plain name has.
    Capitals are not plain, since some file systems take ``A`` and ``a`` for one.
    """
    if _PLAIN.fullmatch(name):
        return name
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:40].strip("-")
    return f"{readable}~{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the disk says into one line. Whatever was recorded before stays valid."""
    try:
        yield
    except OSError as error:
        what = "the disk is full" if error.errno in {errno.ENOSPC, errno.EDQUOT} else error.strerror or str(error)
        raise UserError(
            f"cannot write {path}: {what}; what was recorded is kept: mend it and run the same command again"
        ) from error


def write_whole(path: Path, data: bytes, *, sync: bool = True) -> None:
    """Write a file in one step: a reader, or a killed run that goes on, sees the old one or the new one."""
    part = path.with_name(f".{path.name}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("wb") as file:
                file.write(data)
                if sync:
                    file.flush()
                    os.fsync(file.fileno())
            part.replace(path)
        except OSError:
            part.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def locked(folder: Path, cure: str = "wait for it or choose another --out") -> Iterator[None]:
    """Hold the folder for one process; the kernel lets go when it dies. Raises UserError naming the one in there."""
    path = folder / ".lock"
    with writing(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() or "unknown"
            raise UserError(f"{folder} is in use by process {holder}; {cure}") from None
        with writing(path):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(descriptor)
