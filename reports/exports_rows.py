"""What a run recorded, joined: a row for each request with its sample, its response and every score of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from janus_eval.errors import UserError

Record: TypeAlias = Mapping[str, Any]
KEY = ("task", "sample", "index", "id")
SCHEMA = 1


@dataclass
class Joined:
    """``response`` may be a failure. ``scores``: by protocol, in the order of scores.jsonl."""

    response: Record
    sample: Record
    scores: dict[str, Record] = field(default_factory=dict)


@dataclass(frozen=True)
class Exported:
    """A run for export. ``header`` is run.json, ``results`` results.json (empty where the run is not finished).

    ``unread``: in words, the lines that could not be read.
    """

    path: Path
    header: Record
    results: Record
    rows: Sequence[Joined]
    unread: Sequence[str]

    @property
    def model(self) -> Record:
        found = self.results.get("model") or self.header.get("model") or {}
        return found if isinstance(found, Mapping) else {"name": str(found)}

    @property
    def known_as(self) -> str:
        """What other tools call the model: its checkpoint, or its name where the checkpoint is a server's address or a
        file of answers, which have a ``source``."""
        checkpoint = None if self.model.get("source") else self.model.get("checkpoint")
        return str(checkpoint or self.model.get("name") or "model")

    @property
    def pairs(self) -> list[tuple[str, str, Record]]:
        """(task, protocol, result) of everything that has results."""
        tables: Mapping[str, Mapping[str, Record]] = self.results.get("tasks", {})
        return [(task, name, result) for task, protocols in tables.items() for name, result in protocols.items()]


def read(path: Path) -> Exported:
    """Read and join a run folder. Raises UserError where it is none, of another schema, or holds no response."""
    header, results = _object(path / "run.json"), _object(path / "results.json")
    if header is None:
        raise UserError(f"{path} is not a run folder: no run.json in it")
    for name, table in (("run.json", header), ("results.json", results or {})):
        if table.get("schema", SCHEMA) != SCHEMA:
            raise UserError(f"{path / name}: schema {table.get('schema')!r}, this version reads {SCHEMA}")
    unread: list[str] = []
    # A request that was asked again has two lines; the later one counts.
    responses = {tuple(line[key] for key in KEY): line for line in _lines(path / "responses.jsonl", KEY, unread)}
    if not responses:
        raise UserError(f"{path} holds no response yet; the same run command goes on", code=3)
    samples = _samples(path, unread)
    asked = _asked(header, results or {})
    rows = {key: Joined(line, {}) for key, line in responses.items()}
    for score in _lines(path / "scores.jsonl", (*KEY, "protocol"), unread):
        row = rows.get(tuple(score[key] for key in KEY))
        if row is not None:
            row.scores[str(score["protocol"])] = score
    for (task, sample, *_), row in rows.items():
        digests = [asked.get((str(task), protocol), "") for protocol in row.scores]
        row.sample = next(
            (samples[key] for digest in [*digests, ""] if (key := (str(task), str(sample), digest)) in samples), {}
        )
    return Exported(path, header, results or {}, list(rows.values()), unread)


def _samples(path: Path, unread: list[str]) -> dict[tuple[str, str, str], Record]:
    """By task, id and asking; under the asking "" the first one of that id."""
    found: dict[tuple[str, str, str], Record] = {}
    for file in sorted((path / "samples").glob("*.jsonl")):
        for line in _lines(file, ("id",), unread):
            task, name = str(line.get("task", file.stem)), str(line["id"])
            found[task, name, str(line.get("ask", ""))] = line
            found.setdefault((task, name, ""), line)
    return found


def _asked(header: Record, results: Record) -> dict[tuple[str, str], str]:
    """(task, protocol) -> the asking that its samples stand under, as far as run.json has it."""
    tables = header.get("tasks") if isinstance(header.get("tasks"), Mapping) else {}
    return {
        (task, protocol): str(entry.get("asking", ""))
        for task, protocols in (tables or {}).items()
        if isinstance(protocols, Mapping)
        for protocol, entry in protocols.items()
        if isinstance(entry, Mapping)
    }


def _lines(file: Path, keys: Sequence[str], unread: list[str]) -> Iterator[Record]:
    """The records of a file that have these keys; a torn last line is no damage, any other is counted."""
    if not file.is_file():
        return
    bad = 0
    with file.open("rb") as lines:
        for line in lines:
            try:
                row = json.loads(line)
            except ValueError:
                bad += line.endswith(b"\n")
                continue
            if isinstance(row, dict) and all(key in row for key in keys):
                yield row
            else:
                bad += 1
    if bad:
        unread.append(f"{bad} unreadable line{'s' if bad > 1 else ''} of {file.name} left out")


def _object(file: Path) -> Record | None:
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_bytes())
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error})") from error
    if not isinstance(found, dict):
        raise UserError(f"{file} is damaged (a JSON {type(found).__name__} where an object is expected)")
    return found


def sound(text: object) -> str | None:
    """Text that is valid UTF-8: half a surrogate pair, which a model may write, becomes a replacement character."""
    if text is None:
        return None
    return str(text).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def compact(value: object) -> str:
    """A JSON value as one line of text."""
    return sound(json.dumps(value, ensure_ascii=False, separators=(",", ":"))) or ""
