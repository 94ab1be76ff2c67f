"""The folder that a report is written into. It never touches a file that it did not write itself."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from janus_eval.errors import UserError

MARKER = ".janus-eval-report"
"""Lists the files of ours, one a line: the sign that a folder is a report, and which of its files may be replaced."""
HEAD = "Files that janus-eval report wrote here, and will replace or delete; all others stay.\n"
SIGN = b"janus-eval"  # stands in every page of ours, and near its beginning


class Folder:
    """A report's folder being written. Open one with ``writing``."""

    def __init__(self, path: Path, ours: set[str], log: IO[str]) -> None:
        self.path = path
        self._ours = ours
        self._log = log
        self._written: set[str] = set()
        self._folders: set[str] = set()

    def write(self, name: str, text: str) -> None:
        """Write a file, in one step, so that nobody opens half a page."""
        target = Path(self._place(name))
        if name not in self._ours and os.path.lexists(target):
            raise _in_the_way(target)
        self._note(name)
        part = target.with_name(f".{target.name}.part")
        part.write_text(text, "utf-8")
        part.replace(target)

    def link(self, file: str, name: str) -> None:
        """A hard link to a file, or a copy where links cannot be had."""
        target = self._place(name)
        if name in self._ours:
            Path(target).unlink(missing_ok=True)
        try:
            os.link(file, target)
        except FileExistsError:
            raise _in_the_way(target) from None
        except OSError:  # another file system, or one without links
            if os.path.lexists(target):
                raise _in_the_way(target) from None
            shutil.copyfile(file, target)
        self._note(name)

    def _place(self, name: str) -> str:
        folder = name.rpartition("/")[0]
        if folder not in self._folders:
            (self.path / folder).mkdir(parents=True, exist_ok=True)
            self._folders.add(folder)
        return f"{self.path}/{name}"

    def _note(self, name: str) -> None:
        """List a file of ours at once, so that a report that was stopped can be replaced."""
        if name not in self._ours:
            self._log.write(f"{name}\n")
            self._ours.add(name)
        self._written.add(name)

    def sweep(self) -> None:
        """Delete what a former report wrote and this one did not, and folders that this leaves empty."""
        left: set[Path] = set()
        for name in self._ours - self._written:
            target = self.path / name
            if not target.parent.resolve().is_relative_to(self.path.resolve()):
                continue  # a folder of ours has become a link to elsewhere
            with contextlib.suppress(OSError):
                target.unlink()
                left.add(target.parent)
        for folder in sorted(left, key=lambda folder: -len(folder.parts)):
            with contextlib.suppress(OSError):  # not empty
                while folder != self.path:
                    folder.rmdir()
                    folder = folder.parent  # noqa: PLW2901
        self._log.seek(0)
        self._log.truncate()
        self._log.write(HEAD + "".join(f"{name}\n" for name in sorted(self._written)))


def _in_the_way(path: Path | str) -> UserError:
    return UserError(f"{path} is not janus-eval's; it is in the way: move it, or give another --out")


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Folder]:
    """Open a folder for a report: new, empty, or one that holds a report of ours.

    Raises UserError for any other, and where it cannot be written to.
    """
    marker = path / MARKER
    try:
        if path.exists() and not path.is_dir():
            raise UserError(f"{path} is a file; --out takes a folder")
        if path.is_dir() and not marker.is_file() and any(path.iterdir()):
            raise UserError(
                f"{path} is not empty and holds no report of janus-eval's: give a new or an empty folder with --out"
            )
        path.mkdir(parents=True, exist_ok=True)
        ours = set(filter(_inside, marker.read_text("utf-8").splitlines()[1:])) if marker.is_file() else set[str]()
        with marker.open("a" if ours else "w", encoding="utf-8", buffering=1) as log:
            if not ours:
                log.write(HEAD)
            folder = Folder(path, ours, log)
            yield folder
            folder.sweep()
    except OSError as error:
        where = error.filename or path
        raise UserError(f"{where}: cannot be written ({error.strerror}); give another folder with --out") from error


def _inside(name: str) -> bool:
    """Whether a line of the marker names a file in the folder: the marker may have come from anywhere."""
    parts = PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts


def save(page: Path, text: str) -> None:
    """Write a single page, in one step, over none but a former page of ours. Raises UserError where that fails."""
    part = page.with_name(f".{page.name}.part")
    try:
        if page.exists() and SIGN not in page.read_bytes()[:4096]:
            raise _in_the_way(page)
        page.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8")
        part.replace(page)
    except OSError as error:
        raise UserError(f"{page}: cannot be written ({error.strerror}); give another folder with --out") from error
