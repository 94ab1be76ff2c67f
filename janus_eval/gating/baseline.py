"""A baseline: what a gate needs of a run, in one small file that can be committed.

Gzipped JSON lines, the same bytes for the same scores: a head; a line for every task under a protocol and for each of
its metrics; one line a score, ``[key, value]`` or with what else the metrics read; last a checksum. Scores stand in
the order of their keys, so two files of one benchmark differ in those lines alone whose scores do (``zdiff``).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from janus_eval.errors import UserError
from janus_eval.gating.comparable import portion
from janus_eval.gating.sides import Evaluation, Line, Side, finite
from janus_eval.journal import to_line
from janus_eval.types import JSON

SCHEMA = 1
KIND = "janus-eval baseline"
MAGIC = b"\x1f\x8b"
LARGEST = 2**30
"""Bytes that a file may unpack to: thousands of times what a benchmark needs."""


def packed(run: Side) -> bytes:
    """The file for a run. Raises UserError for metrics that the run's own scores don't give, and for no scores."""
    if not any(evaluation.lines for evaluation in run.evaluations.values()):
        raise UserError(f"{run.path} has no scores to keep")
    for each in run.evaluations.values():
        if each.part:
            raise UserError(f"{each.name} of {run.path} is {portion(each.part)}", code=3)
    head = {"kind": KIND, "schema": SCHEMA, "model": run.model, "seed": run.seed, "limit": run.limit}
    records: list[Any] = [head]
    for evaluation in run.evaluations.values():
        records += _records(evaluation)
    body = b"".join(_line(record) for record in records)
    end = to_line({"lines": len(records), "sha256": hashlib.sha256(body).hexdigest()})
    # No time in the head of the file: the same scores are the same bytes.
    return gzip.compress(body + end, 9, mtime=0)


def read_baseline(path: Path) -> Side:
    """Raises UserError for a file that is damaged or none, with code 3 for one of another schema."""
    records = _unpacked(path)
    head = records[0] if isinstance(records[0], dict) else {}
    if head.get("kind") != KIND:
        raise UserError(f"{path} is no baseline; janus-eval baseline RUN -o FILE writes one")
    if head.get("schema") != SCHEMA:
        raise UserError(
            f"{path} has schema {head.get('schema')!r}, this version reads {SCHEMA}: make it anew from its run, with "
            f"janus-eval baseline RUN -o {path}",
            code=3,
        )
    try:
        evaluations = {(each.task, each.protocol): each for each in _evaluations(records[1:])}
        return Side(path, head["model"], head["seed"], head["limit"], evaluations)
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise UserError(f"{path} is no whole baseline ({type(error).__name__}: {error}); make it anew") from error


def _records(evaluation: Evaluation) -> Iterator[Any]:
    wanted = {name: kept for name, kept in evaluation.metrics.items() if kept["unit"] != "fid"}
    keep = needed(evaluation, list(wanted))
    yield {
        "task": evaluation.task,
        "protocol": evaluation.protocol,
        "fingerprint": evaluation.fingerprint,
        "knobs": evaluation.knobs,
        "keeps": keep,
    }
    for name, kept in wanted.items():
        yield {"metric": name, **kept}
    for key, line in sorted(evaluation.lines.items()):
        held = _only(line, keep)
        rest: list[JSON] = [dict(held.parts), held.extracted]
        while rest and not rest[-1]:
            rest.pop()
        yield [key, line.value, *rest]


def needed(evaluation: Evaluation, metrics: Sequence[str]) -> list[str]:
    """What of a score the metrics read beside its value: names of parts, and ``extracted``.

    Left out is whatever all metrics come out the same without. Raises UserError where they don't even come out with it.
    """
    keys = list(evaluation.lines)
    measures = evaluation.measures()
    keep = sorted({"extracted", *(part for line in evaluation.lines.values() for part in line.parts)})

    def measured(kept: Sequence[str]) -> list[Any]:
        lines = {key: _only(line, kept) for key, line in evaluation.lines.items()}
        scored = replace(evaluation, lines=lines).scored(evaluation.items, keys)
        return [measures[name](scored).value for name in metrics]

    whole = measured(keep)
    if whole != [evaluation.metrics[name]["value"] for name in metrics]:
        raise UserError(
            f"{evaluation.name}: its scores don't give the metrics in results.json: another version judged them;"
            f" janus-eval score RUN --protocol {evaluation.name} first",
            code=3,
        )
    for part in list(keep):
        less = [other for other in keep if other != part]
        if _tried(measured, less) == whole:
            keep = less
    return keep


def _tried(measured: Callable[[Sequence[str]], list[Any]], kept: Sequence[str]) -> list[Any] | None:
    try:
        return measured(kept)
    except Exception:  # noqa: BLE001 - a task's metric that misses something may raise whatever it likes
        return None


def _only(line: Line, keep: Sequence[str]) -> Line:
    parts = {name: value for name, value in line.parts.items() if name in keep}
    return Line(line.value, parts, line.extracted if "extracted" in keep else None)


def _line(record: Any) -> bytes:
    try:
        return to_line(record)
    except ValueError as error:
        raise UserError(f"a score holds what is no number ({error}): no baseline can be made of it", code=3) from error


def _unpacked(path: Path) -> list[Any]:
    try:
        with gzip.open(path) as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such run folder or baseline file") from error
    except (EOFError, zlib.error) as error:
        raise UserError(f"{path} is cut short or damaged ({error}); restore it") from error
    except OSError as error:
        raise UserError(
            f"{path} is no baseline ({error.strerror or error}); a run folder or such a file is expected"
        ) from error
    lines = data.splitlines(keepends=True)
    body = b"".join(lines[:-1])
    try:
        end: Mapping[str, Any] = json.loads(lines[-1])
        whole = end["lines"], end["sha256"]
        records = [json.loads(line) for line in lines[:-1]]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path} is cut short, or no baseline: its last line is no checksum") from error
    if whole != (len(records), hashlib.sha256(body).hexdigest()) or not records:
        raise UserError(f"{path} was changed by hand: its checksum is another; make it anew from its run")
    return records


def _evaluations(records: Sequence[Any]) -> Iterator[Evaluation]:
    """Heads, their metrics and their scores, as ``packed`` lays them out."""
    head: Mapping[str, Any] | None = None
    metrics: dict[str, Mapping[str, Any]] = {}
    lines: dict[str, Line] = {}

    def made(of: Mapping[str, Any]) -> Evaluation:
        return Evaluation(of["task"], of["protocol"], of["fingerprint"], of["knobs"], metrics, lines)

    for record in records:
        if isinstance(record, list):
            key, value, *rest = record
            lines[key] = Line(finite(value), *rest)
        elif "metric" in record:
            metrics[record["metric"]] = {name: value for name, value in record.items() if name != "metric"}
        else:
            if head is not None:
                yield made(head)
            head, metrics, lines = record, {}, {}
    if head is not None:
        yield made(head)
