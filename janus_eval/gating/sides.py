"""The two sides of a gate: what a finished run scored, read without its pictures and without its model."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from janus_eval.disk import safe_name
from janus_eval.errors import UserError
from janus_eval.fingerprint import digest
from janus_eval.seams import Metric
from janus_eval.specs import offered
from janus_eval.store import ANEW, SCHEMA, read_json
from janus_eval.types import JSON, Sample, Score, Scored


class Line(NamedTuple):
    """A score as both sides keep it."""

    value: float | None
    parts: Mapping[str, JSON] = {}
    extracted: JSON = None


@dataclass(frozen=True)
class Item:
    """What a score belongs to."""

    sample: Sample
    index: int


@dataclass(frozen=True)
class Evaluation:
    """A task under a protocol. ``lines`` and ``items`` are by ``key_of``; a baseline file has no ``items``."""

    task: str
    protocol: str
    fingerprint: Mapping[str, str]
    knobs: Mapping[str, Mapping[str, Any]]
    """``ask``, ``observe`` and ``judge``."""
    metrics: Mapping[str, Mapping[str, Any]]
    """As results.json has them."""
    lines: Mapping[str, Line]
    items: Mapping[str, Item] = field(default_factory=dict)
    part: Mapping[str, int] | None = None
    """``groups`` and ``of``, where a sequential gate asked no more."""

    @property
    def name(self) -> str:
        return f"{self.task}/{self.protocol}"

    def measures(self) -> Mapping[str, Metric]:
        """The task's own metrics under this side's judging."""
        found: Mapping[str, Metric] = offered("tasks", self.task).metrics(self.knobs["judge"])
        return found

    def scored(self, items: Mapping[str, Item], keys: Sequence[str]) -> list[Scored]:
        """Scores of these keys, as the task's metrics take them, in the order given."""
        found = []
        for key in keys:
            line = self.lines[key]
            found.append(Scored(items[key].sample, items[key].index, Score(line.value, line.extracted, "", line.parts)))
        return found


@dataclass(frozen=True)
class Side:
    """``path`` is a run folder or a baseline file."""

    path: Path
    model: Mapping[str, Any]
    seed: int
    limit: int | None
    evaluations: Mapping[tuple[str, str], Evaluation]

    @property
    def is_run(self) -> bool:
        return self.path.is_dir()


def key_of(task: str, protocol: str, sample: str, index: int) -> str:
    """Sixteen hexadecimal digits that stand for a request in a baseline."""
    return digest([task, protocol, sample, index])


def read_run(path: Path) -> Side:
    """A finished run. Raises UserError for what is none, with code 3 for one that is not finished."""
    if not (path / "run.json").is_file():
        inside = sorted(entry.parent.name for entry in path.glob("*/run.json"))
        some = f"; it holds {', '.join(inside)}: name one of them" if inside else ""
        raise UserError(f"{path} is not a run folder: no run.json in it{some}")
    asked = read_json(path / "run.json")
    if not (path / "results.json").is_file():
        raise UserError(f"{path} is not finished: no results.json; the same `janus-eval run` goes on with it", code=3)
    results = read_json(path / "results.json")
    for table in (asked, results):
        if table.get("schema") != SCHEMA:
            raise UserError(f"{path} has schema {table.get('schema')!r}, this version reads {SCHEMA}", code=3)
    rows = _scores(path)
    evaluations = {}
    for task, protocols in results["tasks"].items():
        samples = _samples(path, task)
        for protocol, table in protocols.items():
            lines, items = _joined(path, rows.get((task, protocol), []), samples, table)
            knobs = {name: table["protocol"][name] for name in ("ask", "observe", "judge")}
            evaluations[task, protocol] = Evaluation(
                task, protocol, table["fingerprint"], knobs, table["metrics"], lines, items, table.get("part")
            )
    return Side(path, asked["model"], asked["seed"], asked.get("limit"), evaluations)


def finite(value: Any) -> float | None:
    """A score; NaN and infinities are none, whoever wrote them."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _scores(path: Path) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in _rows(path / "scores.jsonl", {"task", "protocol", "sample", "index", "value", "parts", "extracted"}):
        found.setdefault((row["task"], row["protocol"]), []).append(row)
    return found


def _samples(path: Path, task: str) -> dict[tuple[str, str], Sample]:
    """By asking and id. Their pictures, which no metric looks at, stay on the disk."""
    fields = ("id", "inputs", "target", "group", "category", "metadata")
    rows = _rows(path / "samples" / f"{safe_name(task)}.jsonl", {"ask", *fields})
    return {(row["ask"], row["id"]): Sample(**{name: row[name] for name in fields}) for row in rows}


def _joined(
    path: Path,
    rows: Sequence[Mapping[str, Any]],
    samples: Mapping[tuple[str, str], Sample],
    table: Mapping[str, Any],
) -> tuple[dict[str, Line], dict[str, Item]]:
    asking = digest(table["protocol"]["ask"])
    if len(rows) != table["requests"]:
        raise UserError(
            f"{path / 'scores.jsonl'} is cut short: {len(rows)} scores where results.json counts {table['requests']}; "
            "run the same command again"
        )
    lines, items = {}, {}
    for row in rows:
        key = key_of(row["task"], row["protocol"], row["sample"], row["index"])
        sample = samples.get((asking, row["sample"]))
        if sample is None:
            raise UserError(f"{path}: scores.jsonl has {row['task']} {row['sample']!r}, samples/ has not; {ANEW}")
        lines[key] = Line(finite(row["value"]), row["parts"], row["extracted"])
        items[key] = Item(sample, row["index"])
    return lines, items


def _rows(path: Path, keys: set[str]) -> list[dict[str, Any]]:
    """The records of a file that is only ever written whole."""
    try:
        rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): run the same command again") from error
    if not all(isinstance(row, dict) and keys <= row.keys() for row in rows):
        raise UserError(f"{path} is damaged (a line without {', '.join(sorted(keys))}): run the same command again")
    return rows
