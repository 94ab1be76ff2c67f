"""What a run wrote, read back for reports: typed records of one run folder. Nothing here runs or loads a model.

A folder may be half-written, come from another machine or be damaged: whatever can be read is read, lines that cannot
are counted, and a picture is opened only where its path stays inside the folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from janus_eval.errors import UserError

SCHEMA = 1


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class SampleRecord(_Record):
    """A line of ``samples/TASK.jsonl``."""

    id: str
    group: str = ""
    category: str = ""
    inputs: Mapping[str, Any] = {}
    target: Mapping[str, Any] = {}
    metadata: Mapping[str, Any] = {}
    images: Sequence[str] = ()


class ResponseRecord(_Record):
    """A line of ``responses.jsonl``: ``text``, the path of an ``image``, or a ``failure``."""

    task: str
    sample: str
    index: int = 0
    id: str = ""
    prompt: str = ""
    text: str | None = None
    image: str | None = None
    failure: str | None = None


class ScoreRecord(_Record):
    """A line of ``scores.jsonl``."""

    task: str
    protocol: str
    sample: str
    index: int = 0
    id: str = ""
    group: str = ""
    category: str = ""
    value: float | None = None
    extracted: Any = None
    reason: str = ""
    parts: Mapping[str, Any] = {}
    failed: bool = False


class MetricRecord(_Record):
    """An estimate in ``results.json``."""

    value: float | None
    low: float | None = None
    high: float | None = None
    unit: Literal["fraction", "percent", "points"]
    n: int
    failed: int = 0


class ResultRecord(_Record):
    """All metrics of a task under a protocol."""

    fingerprint: Mapping[str, str] = {}
    metrics: Mapping[str, MetricRecord]
    troubles: Mapping[str, int] = {}
    protocol: Mapping[str, Any] = {}


class Key(NamedTuple):
    """A request: number ``k`` of a sample of a task. ``id`` tells apart what several protocols asked."""

    task: str
    sample: str
    k: int
    id: str = ""


class Trouble(NamedTuple):
    """A request or an observation that came to nothing."""

    key: Key
    stage: str
    reason: str


_R = TypeVar("_R", bound=_Record)


@dataclass(frozen=True)
class Run:
    """One run folder. ``finished`` is False until the runner has written ``results.json``."""

    path: Path
    asked: Mapping[str, Any]
    model: Mapping[str, Any]
    results: Mapping[str, Mapping[str, ResultRecord]]
    responses: Mapping[Key, ResponseRecord]
    scores: Mapping[tuple[str, str], Sequence[ScoreRecord]]
    samples: Mapping[str, Mapping[str, SampleRecord]]
    blind: Sequence[Trouble]
    finished: bool
    unreadable: Sequence[str] = field(default=())

    @cached_property
    def _latest(self) -> Mapping[tuple[str, str, int], ResponseRecord]:
        return {key[:3]: response for key, response in self.responses.items()}

    def response(self, task: str, sample: str, index: int, judged: ScoreRecord | None) -> ResponseRecord | None:
        """The response that a score judged; without a score, the latest one there is."""
        if judged is not None and judged.id:
            return self.responses.get(Key(task, sample, index, judged.id))
        return self._latest.get((task, sample, index))

    @property
    def name(self) -> str:
        """The model's name, else the folder's."""
        return str(self.model.get("name") or self.path.resolve().name)

    @cached_property
    def troubles(self) -> tuple[Trouble, ...]:
        """Every request and observation that failed, in the order of the run."""
        failed = [Trouble(key, "request", r.failure) for key, r in self.responses.items() if r.failure is not None]
        return (*failed, *self.blind)

    def picture(self, path: str) -> bytes | None:
        """The bytes of a picture named by a record; None where it is missing or the path leaves the run folder."""
        root = self.path.resolve()
        try:
            file = (root / path).resolve()
            if not file.is_relative_to(root) or not file.is_file():
                return None
            return file.read_bytes()
        except (OSError, ValueError):  # ValueError: a null byte in the path
            return None


def read(path: Path) -> Run:
    """Read a run folder. Raises UserError where there is none, or one of another schema."""
    if not (path / "run.json").is_file() and not (path / "results.json").is_file():
        raise UserError(
            f"{path}: not a run folder (neither run.json nor results.json in it); "
            "give a folder that `janus-eval run` wrote, such as DIR/MODEL"
        )
    asked = _object(path / "run.json")
    results = _object(path / "results.json")
    for name, found in (("run.json", asked.get("schema", SCHEMA)), ("results.json", results.get("schema", SCHEMA))):
        if found != SCHEMA:
            raise UserError(
                f"{path / name}: schema {found!r}, this version reads {SCHEMA}; report with the version that wrote it"
            )
    tally: list[str] = []
    replies = _lines(ResponseRecord, path / "responses.jsonl", tally)
    responses = {Key(r.task, r.sample, r.index, r.id): r for r in replies}
    scores: dict[tuple[str, str], dict[tuple[str, int], ScoreRecord]] = {}
    for score in _lines(ScoreRecord, path / "scores.jsonl", tally):
        scores.setdefault((score.task, score.protocol), {})[score.sample, score.index] = score
    model = results.get("model") or asked.get("model") or {}
    return Run(
        path=path,
        asked=asked,
        model=model if isinstance(model, Mapping) else {"name": str(model)},
        results=_results(path / "results.json", results.get("tasks", {})),
        responses=responses,
        scores={key: list(rows.values()) for key, rows in scores.items()},
        samples={
            file.stem: {s.id: s for s in _lines(SampleRecord, file, tally)}
            for file in sorted((path / "samples").glob("*.jsonl"))
        },
        blind=_blind(path / "observations.jsonl", tally),
        finished=(path / "results.json").is_file(),
        unreadable=tuple(tally),
    )


def _results(file: Path, tasks: Any) -> dict[str, dict[str, ResultRecord]]:
    try:
        return {
            task: {protocol: ResultRecord.model_validate(result) for protocol, result in protocols.items()}
            for task, protocols in tasks.items()
        }
    except (ValidationError, AttributeError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{file}: not the results of a run ({first}); `janus-eval score` writes them anew") from error


def _object(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise UserError(f"{file}: not JSON ({error}); the file is damaged, run the same command again") from error
    if not isinstance(found, dict):
        raise UserError(f"{file}: a JSON object expected, got {type(found).__name__}")
    return found


def _rows(file: Path, tally: list[str]) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file; a torn last line is no damage, any other unreadable line is noted in ``tally``."""
    if not file.is_file():
        return
    lines = file.read_bytes().split(b"\n")
    torn = len(lines)  # what follows the last newline is a line still being written
    bad = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            bad += number != torn
            continue
        if isinstance(row, dict):
            yield row
        else:
            bad += 1
    if bad:
        tally.append(f"{bad} unreadable line{'s' if bad > 1 else ''} in {file.name}")


def _lines(kind: type[_R], file: Path, tally: list[str]) -> Iterator[_R]:
    bad = 0
    for row in _rows(file, tally):
        try:
            yield kind.model_validate(row)
        except ValidationError:
            bad += 1
    if bad:
        tally.append(f"{bad} line{'s' if bad > 1 else ''} of an unknown form in {file.name}")


def _blind(file: Path, tally: list[str]) -> tuple[Trouble, ...]:
    """Failed observations alone: those that worked may hold masks by the megabyte, which no report needs.

    The last line of an observation counts: a failed one may have been made again.
    """
    last: dict[tuple[Any, ...], Trouble | None] = {}
    for row in _rows(file, tally):
        names = ("task", "sample", "index", "id", "role", "look")
        trouble = None
        if row.get("failure") is not None:
            key = Key(str(row.get("task")), str(row.get("sample")), _whole(row.get("index")))
            trouble = Trouble(key, f"{row.get('role')} ({row.get('instrument')})", str(row["failure"]))
        last[tuple(map(str, map(row.get, names)))] = trouble
    return tuple(trouble for trouble in last.values() if trouble is not None)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
