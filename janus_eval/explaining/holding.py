"""A run folder that is only read: no lock, nothing created or cut off, so that a run in progress or on a read-only disk
can be looked at."""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Any

from janus_eval.errors import UserError
from janus_eval.journal import Journal, Record
from janus_eval.observe import Observer
from janus_eval.store import SCHEMA, Outlook, RunFolder, read_json
from janus_eval.types import Failure, Observation, Request, RequestKey, Response


class Holding(RunFolder):
    """A run folder that remembers what it was asked for until told to forget: one response is judged many times."""

    def __init__(
        self, path: Path, header: Mapping[str, Any], journals: list[Journal], observers: Mapping[str, set[Observer]]
    ) -> None:
        super().__init__(path, header, *journals)
        self.observers = observers
        """Task -> every instrument that looked at something of it, in its role."""
        self._remembered: dict[Hashable, Any] = {}

    def response(self, request: Request) -> Response | Failure | None:
        key = (request.key, request.id)
        if key not in self._remembered:
            self._remembered[key] = super().response(request)
        found: Response | Failure | None = self._remembered[key]
        return found

    def observed(self, outlook: Outlook) -> Observation | Failure | None:
        if outlook not in self._remembered:
            self._remembered[outlook] = super().observed(outlook)
        found: Observation | Failure | None = self._remembered[outlook]
        return found

    def forget(self) -> None:
        self._remembered.clear()

    def timings(self) -> list[Record]:
        """One a batch, in order."""
        return list(self._timings)


def _response_key(record: Record) -> Hashable:
    return record["task"], record["sample"], record["index"], record["id"]


def header_of(path: Path) -> dict[str, Any]:
    """What a run's run.json says. Raises UserError where there is none, or one of another schema or damaged."""
    if not (path / "run.json").is_file():
        what = (
            "is not a run folder: no run.json in it" if path.is_dir() else "is no run folder: there is no such folder"
        )
        raise UserError(f"{path} {what}; give a folder that `janus-eval run` wrote, such as DIR/MODEL")
    header = read_json(path / "run.json")
    if header.get("schema") != SCHEMA:
        raise UserError(f"{path} has schema {header.get('schema')!r}, this version reads {SCHEMA}")
    return header


@contextlib.contextmanager
def held(path: Path) -> Iterator[Holding]:
    """Open a run folder for reading. Raises UserError as ``header_of`` does, and for damaged journals."""
    header = header_of(path)
    observers: dict[str, set[Observer]] = defaultdict(set)
    numbers = itertools.count()  # two batches may have taken equally long

    def observation_key(record: Record) -> Hashable:
        observers[record["task"]].add(Observer(record["role"], record["instrument"], record["version"]))
        key = RequestKey(record["task"], record["sample"], record["index"])
        return Outlook(key, record["id"], record["role"], record["look"])

    with (
        Journal(path / "responses.jsonl", _response_key, writable=False) as responses,
        Journal(path / "observations.jsonl", observation_key, writable=False) as observations,
        Journal(path / "timings.jsonl", lambda record: next(numbers), writable=False) as timings,
    ):
        yield Holding(path, header, [responses, observations, timings], observers)
