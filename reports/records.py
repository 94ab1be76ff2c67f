"""What a run wrote, read back for reports: typed records of one run folder. Nothing here runs or loads a model.

A folder may be half-written, come from another machine or be damaged: whatever can be read is read, lines that cannot
are counted, and a picture is opened only where its path stays inside the folder.
"""

from __future__ import annotations

import json
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from janus_eval.errors import UserError
from janus_eval.reports.wording import line as one_line

SCHEMA = 1
HEADLINE = "overall"
FIRST = 60
"""Troubles that are remembered of a run one by one; the rest is counted."""


class _Record(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class SampleRecord(_Record):
    """A line of ``samples/TASK.jsonl``, whose name is the task's only where that is a plain one."""

    task: str = ""
    id: str
    group: str = ""
    category: str = ""
    inputs: Mapping[str, Any] = {}
    target: Mapping[str, Any] = {}
    metadata: Mapping[str, Any] = {}
    images: Sequence[str] = ()


class ResponseRecord(_Record):
    """A line of ``responses.jsonl``: ``text``, the path of an ``image``, ``likelihoods``, or a ``failure``."""

    task: str
    sample: str
    index: int = 0
    id: str = ""
    prompt: str = ""
    text: str | None = None
    image: str | None = None
    likelihoods: Sequence[float] = ()
    continuations: Sequence[str] = ()
    """What the likelihoods are of."""
    failure: str | None = None
    details: Mapping[str, Any] = {}
    """What else came, as a prompt that a server wrote anew."""


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
    only_counts: bool = False
    """Whether the value says no more than that there is one, as of a picture that a distance is measured with."""


class MetricRecord(_Record):
    """An estimate in ``results.json``."""

    value: float | None
    low: float | None = None
    high: float | None = None
    unit: Literal["fraction", "percent", "points", "dB", "fid"]
    n: int
    failed: int = 0


class ResultRecord(_Record):
    """All metrics of a task under a protocol."""

    fingerprint: Mapping[str, str] = {}
    metrics: Mapping[str, MetricRecord]
    troubles: Mapping[str, int] = {}
    remarks: Sequence[str] = ()
    """What the task says must stand beside its numbers."""
    protocol: Mapping[str, Any] = {}

    @property
    def headline(self) -> MetricRecord | None:
        """The metric named ``overall``, else the first."""
        return self.metrics.get(HEADLINE) or next(iter(self.metrics.values()), None)


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


class TimingRecord(_Record):
    """A line of ``timings.jsonl``: one batch."""

    stage: str
    task: str = ""
    role: str = ""
    n: int = 0
    seconds: float = 0.0
    output_tokens: int = 0


class Tally(NamedTuple):
    """How much a run recorded: all that a table of many runs has to know of their answers."""

    samples: Mapping[str, int]
    """By task."""
    responses: int
    failed: int
    """Requests without a response."""
    troubles: int
    first: Sequence[Trouble]
    unscored: Mapping[tuple[str, str], Counter[str]]
    """(task, protocol) -> why responses have no score, and how many of each."""


_R = TypeVar("_R", bound=_Record)


@dataclass(frozen=True)
class Run:
    """One run folder, its answers only counted. ``finished`` is False until the runner has written results.json."""

    path: Path
    asked: Mapping[str, Any]
    model: Mapping[str, Any]
    results: Mapping[str, Mapping[str, ResultRecord]]
    finished: bool
    unreadable: Sequence[str]
    tally: Tally

    @property
    def name(self) -> str:
        """The model's name, else the folder's."""
        return str(self.model.get("name") or self.path.resolve().name)


@dataclass(frozen=True)
class WholeRun(Run):
    """One run folder with all its answers: some ten kilobytes a sample, so many runs are not held at once."""

    responses: Mapping[Key, ResponseRecord]
    scores: Mapping[tuple[str, str], Sequence[ScoreRecord]]
    samples: Mapping[str, Mapping[str, SampleRecord]]
    troubles: Sequence[Trouble]
    """Every request and observation that failed, in the order of the run."""

    def counted(self) -> Run:
        """The same without the answers."""
        return Run(self.path, self.asked, self.model, self.results, self.finished, self.unreadable, self.tally)

    @cached_property
    def _latest(self) -> Mapping[tuple[str, str, int], ResponseRecord]:
        return {key[:3]: response for key, response in self.responses.items()}

    def response(self, task: str, sample: str, index: int, judged: ScoreRecord | None) -> ResponseRecord | None:
        """The response that a score judged; without a score, the latest one there is."""
        if judged is not None and judged.id:
            return self.responses.get(Key(task, sample, index, judged.id))
        return self._latest.get((task, sample, index))

    def picture(self, path: str) -> str | None:
        """The file of a picture named by a record; None where it is missing or the path leaves the run folder.

        A run may have ten thousand pictures: their folders are resolved once, and paths are plain strings.
        """
        folder, _, name = path.rpartition("/")
        try:
            if folder not in self._folders:
                self._folders[folder] = os.path.realpath(f"{self._root}/{folder}")
            file = f"{self._folders[folder]}/{name}"
            mode = os.lstat(file).st_mode
            if not stat.S_ISREG(mode):
                file = os.path.realpath(file)
                mode = os.lstat(file).st_mode
            return file if stat.S_ISREG(mode) and file.startswith(f"{self._root}/") else None
        except (OSError, ValueError):  # ValueError: a null byte in the path
            return None

    @cached_property
    def _folders(self) -> dict[str, str]:
        return {}

    @cached_property
    def _root(self) -> str:
        return os.path.realpath(self.path)


def read(path: Path) -> WholeRun:
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
    damage: list[str] = []
    replies = _lines(ResponseRecord, path / "responses.jsonl", damage)
    responses = {Key(r.task, r.sample, r.index, r.id): r for r in replies}
    scores: dict[tuple[str, str], dict[tuple[str, int], ScoreRecord]] = {}
    for score in _lines(ScoreRecord, path / "scores.jsonl", damage):
        scores.setdefault((score.task, score.protocol), {})[score.sample, score.index] = score
    samples: dict[str, dict[str, SampleRecord]] = {}
    for file in sorted((path / "samples").glob("*.jsonl")):
        for sample in _lines(SampleRecord, file, damage):
            samples.setdefault(sample.task or file.stem, {})[sample.id] = sample
    failed = [Trouble(key, "request", r.failure) for key, r in responses.items() if r.failure is not None]
    troubles = (*failed, *_blind(path / "observations.jsonl", damage))
    model = results.get("model") or asked.get("model") or {}
    return WholeRun(
        path=path,
        asked=asked,
        model=model if isinstance(model, Mapping) else {"name": str(model)},
        results=_results(path / "results.json", results.get("tasks", {})),
        finished=(path / "results.json").is_file(),
        unreadable=tuple(damage),
        tally=Tally(
            {task: len(found) for task, found in samples.items()},
            len(responses),
            len(failed),
            len(troubles),
            troubles[:FIRST],
            {key: _unscored(rows.values()) for key, rows in scores.items()},
        ),
        responses=responses,
        scores={key: list(rows.values()) for key, rows in scores.items()},
        samples=samples,
        troubles=troubles,
    )


def timings(path: Path) -> list[TimingRecord]:
    """The batches of a run folder, in order; lines that cannot be read are left out."""
    return list(_lines(TimingRecord, path / "timings.jsonl", []))


def usage(path: Path) -> Mapping[str, Any]:
    """What a run's answers cost, if they were paid for and the file can be read."""
    try:
        found = _object(path / "usage.json")
    except UserError:
        return {}
    return found


def _unscored(scores: Iterable[ScoreRecord]) -> Counter[str]:
    return Counter(one_line(s.reason or "no reason recorded") for s in scores if s.failed or s.value is None)


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


def _rows(file: Path) -> Iterator[bytes]:
    """The lines of a file but for empty ones and a torn last one, which is no damage: it is still being written."""
    if file.is_file():
        with file.open("rb") as lines:
            yield from (line for line in lines if line.strip() and (line.endswith(b"\n") or _loaded(line)))


def _lines(kind: type[_R], file: Path, damage: list[str]) -> Iterator[_R]:
    """The records of a file; lines that are none are noted in ``damage``."""
    bad = odd = 0
    for line in _rows(file):
        try:
            yield kind.model_validate_json(line)
        except ValidationError:
            # Half a surrogate pair, which a model may write, is no JSON to pydantic's parser but to Python's.
            row = _loaded(line)
            if row is None:
                bad += 1
                continue
            try:
                yield kind.model_validate(row)
            except ValidationError:
                odd += 1
    if bad:
        damage.append(f"{bad} unreadable line{'s' if bad > 1 else ''} in {file.name}")
    if odd:
        damage.append(f"{odd} line{'s' if odd > 1 else ''} of an unknown form in {file.name}")


def _loaded(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _blind(file: Path, damage: list[str]) -> tuple[Trouble, ...]:
    """Failed observations alone: those that worked may hold masks by the megabyte, which no report needs.

    The last line of an observation counts: a failed one may have been made again. Where none failed, as is usual, no
    line is parsed.
    """
    if not any(b'"failure"' in line for line in _rows(file)):
        return ()
    last: dict[tuple[Any, ...], Trouble | None] = {}
    bad = 0
    for row in map(_loaded, _rows(file)):
        if row is None:
            bad += 1
            continue
        names = ("task", "sample", "index", "id", "role", "look")
        trouble = None
        if row.get("failure") is not None:
            key = Key(str(row.get("task")), str(row.get("sample")), _whole(row.get("index")))
            trouble = Trouble(key, f"{row.get('role')} ({row.get('instrument')})", str(row["failure"]))
        last[tuple(map(str, map(row.get, names)))] = trouble
    if bad:
        damage.append(f"{bad} unreadable line{'s' if bad > 1 else ''} in {file.name}")
    return tuple(trouble for trouble in last.values() if trouble is not None)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else 0
