"""A run as lmms-eval writes its own (EvolvingLMMs-Lab/lmms-eval at 75571cf, ``loggers/evaluation_tracker.py``).

There are a file of results and one of samples for each task; its tables and its comparison with a baseline read them.

A task under a protocol is a task there, named ``TASK_PROTOCOL``. What lmms-eval calls a document is a sample here.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from janus_eval.errors import UserError
from janus_eval.reports.exports_rows import Exported, Joined, Record, read, sound

Z95 = 1.959963984540054  # an interval of 95% is so many standard errors to either side


def write(run: Path, out: Path) -> list[str]:
    """Write ``DATE_results.json`` and ``DATE_samples_TASK_PROTOCOL.jsonl`` in ``out/MODEL``; returns lines to print."""
    found = read(run)
    if not found.pairs:
        raise UserError(f"{run} has no results yet; the same run command goes on", code=3)
    stamp = _stamp(found.header)
    folder = out / _sanitized(found.known_as)
    samples = {name_of(task, protocol): _documents(found.rows, task, protocol) for task, protocol, _ in found.pairs}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _save(folder / f"{stamp}_results.json", json.dumps(_results(found, samples, stamp), indent=2))
        for name, rows in samples.items():
            _save(folder / f"{stamp}_samples_{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    except OSError as error:
        raise UserError(f"{error.filename or folder}: cannot be written ({error.strerror})") from error
    return [f"{folder}: {len(samples)} tasks, {sum(map(len, samples.values())):,} samples", *found.unread]


def name_of(task: str, protocol: str) -> str:
    """Words and underscores: what lmms-eval makes of a task's name in a file's."""
    return re.sub(r"\W", "_", f"{task}_{protocol}")


def _sanitized(model: str) -> str:
    """As lmms-eval names a model's folder: the last two parts of a path, joined. Dots alone would name another one."""
    named = re.sub(r"[\"<>:/|\\?*\[\]]+", "__", "/".join(model.split("/")[-2:]))
    return named if named.strip(". ") else "model"


def _stamp(header: Record) -> str:
    """When the run began, as lmms-eval writes dates; its own clock, since an export of one run is one file."""
    try:
        return datetime.datetime.fromisoformat(str(header.get("started"))).strftime("%Y%m%d_%H%M%S")
    except ValueError:
        return "00000000_000000"


def _save(file: Path, text: str) -> None:
    file.write_text(text, "utf-8")


def _results(found: Exported, samples: Mapping[str, Sequence[Record]], stamp: str) -> dict[str, Any]:
    tables: dict[str, dict[str, Any]] = {name: {} for name in ("results", "configs", "versions", "n-shot")}
    tables |= {"higher_is_better": {}, "n-samples": {}, "group_subtasks": {}}
    for task, protocol, result in found.pairs:
        name, metrics = name_of(task, protocol), result.get("metrics", {})
        tables["results"][name] = {"alias": name, "samples": len(samples[name]), **_metrics(metrics)}
        tables["configs"][name] = {
            "task": name,
            "metadata": {"fingerprint": result.get("fingerprint")},
            **_asked(result),
        }
        tables["versions"][name] = str((result.get("fingerprint") or {}).get("data", ""))
        tables["n-shot"][name] = 0
        tables["higher_is_better"][name] = {metric: one.get("unit") != "fid" for metric, one in metrics.items()}
        tables["n-samples"][name] = {"original": len(samples[name]), "effective": len(samples[name])}
        tables["group_subtasks"][name] = []
    model = found.model
    return {
        **tables,
        "config": {
            "model": model.get("name"),
            "model_args": ",".join(f"{key}={value}" for key, value in (model.get("settings") or {}).items()),
            "batch_size": found.header.get("batch_size"),
            "device": found.header.get("device"),
            "limit": found.header.get("limit"),
            "random_seed": found.header.get("seed"),
        },
        "date": stamp,
        "task_hashes": {name: _digest(_hashes(rows)) for name, rows in samples.items()},
        "model_source": "janus-eval",
        "model_name": found.known_as,
        "model_name_sanitized": _sanitized(found.known_as),
        "lmms_eval_version": None,
        "janus_eval_version": (found.header.get("versions") or {}).get("janus-eval"),
    }


def _metrics(metrics: Mapping[str, Record]) -> dict[str, Any]:
    """``METRIC,none`` and its standard error: half of the 95% interval over 1.96. No filter is none there."""
    found: dict[str, Any] = {}
    for name, one in metrics.items():
        low, high = one.get("low"), one.get("high")
        found[f"{name},none"] = one.get("value")
        found[f"{name}_stderr,none"] = "N/A" if low is None or high is None else (high - low) / (2 * Z95)
    return found


def _asked(result: Record) -> dict[str, Any]:
    protocol = result.get("protocol") or {}
    return {"protocol": {name: protocol.get(name) for name in ("ask", "observe", "judge", "note")}}


def _documents(rows: Iterable[Joined], task: str, protocol: str) -> list[dict[str, Any]]:
    """One record a sample, its requests together, in the order of the run."""
    together: dict[str, list[Joined]] = {}
    for row in rows:
        if row.response["task"] == task and protocol in row.scores:
            together.setdefault(str(row.response["sample"]), []).append(row)
    return [_document(place, members, protocol) for place, members in enumerate(together.values())]


def _document(place: int, members: Sequence[Joined], protocol: str) -> dict[str, Any]:
    first = members[0]
    sample = {name: first.sample.get(name) for name in ("id", "inputs", "target", "metadata")}
    replies = [_reply(member.response) for member in members]
    values = [member.scores[protocol].get("value") for member in members]
    scored = [float(value) for value in values if value is not None]
    one = len(replies) == 1
    return {
        "doc_id": place,
        "target": sound(json.dumps(first.sample.get("target"))),
        # One answer stands alone there, and again as what its filters left of it, which is the same.
        **({} if one else {"resps": [[reply] for reply in replies]}),
        "filtered_resps": replies[0] if one else replies,
        "token_counts": [_tokens(member.response) for member in members],
        "doc_hash": _digest(json.dumps(sample, indent=2)),
        "score": sum(scored) / len(scored) if scored else None,
        "extracted": [member.scores[protocol].get("extracted") for member in members],
        "reason": [sound(member.scores[protocol].get("reason")) for member in members],
        "sample": sound(first.response["sample"]),
        "category": sound(first.sample.get("category")),
        "input": sound(first.response.get("prompt")),
    }


def _reply(response: Record) -> str | None:
    """The answer, or a picture's path in the run folder; nothing for a failure."""
    if "likelihoods" in response:
        return json.dumps(response["likelihoods"])
    return sound(response.get("text", response.get("image")))


def _tokens(response: Record) -> dict[str, Any]:
    return {"input_tokens": response.get("input_tokens"), "output_tokens": response.get("output_tokens")}


def _hashes(rows: Sequence[Record]) -> str:
    return "".join(f"sample_{place}{row['doc_hash']}" for place, row in enumerate(rows))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
