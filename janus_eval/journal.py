"""Append-only JSON lines, each found again by its key. A torn last line, the mark of a killed run, is dropped."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

from janus_eval.disk import writing
from janus_eval.errors import UserError

Record: TypeAlias = dict[str, Any]
SYNC_EVERY = 1.0
"""Seconds. A killed process loses nothing that was written; a power cut at most what this long brought. Syncing every
batch would cost more than a small model's answers."""


def to_line(record: Mapping[str, Any]) -> bytes:
    """One line of plain ASCII, whatever a prompt contained. Raises ValueError for NaN and infinities."""
    return json.dumps(record, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


class Journal:
    """A file of records. Memory holds keys and places only, so masks of thousands of pictures stay on disk.

    Where two lines have one key the later one counts: a failed request that was asked again. One that is not
    ``writable`` creates nothing, cuts nothing off and takes no records: a run in progress, or on a disk that can only
    be read, is read as far as it is whole, and a file that is missing is empty.
    """

    def __init__(self, path: Path, key: Callable[[Record], Hashable], *, writable: bool = True) -> None:
        self.path = path if writable or path.exists() else Path(os.devnull)
        self._writable = writable
        self._key = key
        self._synced = time.monotonic()
        self._places: dict[Hashable, tuple[int, int]] = {}
        self.failures: set[Hashable] = set()
        """Keys whose record tells of a failure."""
        with writing(path) if writable else contextlib.nullcontext():
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY, 0o644)
        try:
            self._size = self._read()
            if writable:
                with writing(path):
                    os.ftruncate(self._file, self._size)
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._writable:
                with writing(self.path):
                    os.fsync(self._file)
        finally:
            os.close(self._file)

    def _read(self) -> int:
        """Index all records; return where the last whole line ends."""
        size, number, torn = 0, 0, None
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if torn is not None:
                    raise UserError(
                        f"{self.path}: line {torn} is damaged though others follow; "
                        "delete that line and run the same command again, or choose another --out"
                    )
                try:
                    record = json.loads(line)
                    key = self._key(record) if line.endswith(b"\n") else None
                except (ValueError, KeyError, TypeError):
                    key = None
                if key is None:
                    torn = number
                    continue
                self._note(key, record, (size, len(line)))
                size += len(line)
        return size

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def get(self, key: Hashable) -> Record | None:
        place = self._places.get(key)
        return None if place is None else self._at(place)

    def __iter__(self) -> Iterator[Record]:
        for place in self._places.values():
            yield self._at(place)

    def _at(self, place: tuple[int, int]) -> Record:
        start, length = place
        record: Record = json.loads(os.pread(self._file, length, start))
        return record

    def append(self, records: Sequence[Record]) -> None:
        """Add records. Either all are added or, with the disk full, none."""
        assert self._writable, f"{self.path} was opened for reading"
        lines = [to_line(record) for record in records]
        with writing(self.path):
            try:
                rest = memoryview(b"".join(lines))
                start = self._size
                while rest:
                    written = os.pwrite(self._file, rest, start)
                    start, rest = start + written, rest[written:]
                if time.monotonic() - self._synced > SYNC_EVERY:
                    os.fsync(self._file)
                    self._synced = time.monotonic()
            except OSError:
                os.ftruncate(self._file, self._size)
                raise
        for record, line in zip(records, lines, strict=True):
            self._note(self._key(record), record, (self._size, len(line)))
            self._size += len(line)

    def _note(self, key: Hashable, record: Record, place: tuple[int, int]) -> None:
        self._places[key] = place
        (self.failures.add if "failure" in record else self.failures.discard)(key)
