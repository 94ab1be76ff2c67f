"""Last stage: scores -> estimates, and results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from janus_eval import portions
from janus_eval.plan import Entry
from janus_eval.score import troubles
from janus_eval.store import SCHEMA, RunFolder
from janus_eval.types import Scored


def summary(
    entry: Entry, scored: Sequence[Scored], fingerprint: Mapping[str, str], part: Mapping[str, int] | None = None
) -> dict[str, Any]:
    """Every metric of a task under a protocol, with all that is needed to know what the numbers mean; ``part`` where
    the entry is not all of it."""
    metrics = entry.task.metrics(entry.protocol.judge)
    assert next(iter(metrics), None) == "overall", f"{entry}: the first metric is the headline, named 'overall'"
    remark = getattr(entry.task, "remarks", None)
    remarks = list(remark(scored, entry.protocol.judge)) if remark else []
    remarks += [portions.remark(part)] if part else []
    return {
        "fingerprint": dict(fingerprint),
        "metrics": {name: asdict(metric(scored)) for name, metric in metrics.items()},
        "samples": len(entry.asking.samples),
        "requests": len(scored),
        "failed": sum(item.failed for item in scored),
        "unscored": sum(item.score.value is None and not item.failed for item in scored),
        "troubles": troubles(scored),
        **({"part": dict(part)} if part else {}),
        **({"remarks": remarks} if remarks else {}),
        "protocol": described(entry),
    }


def described(entry: Entry) -> dict[str, Any]:
    """The protocol's knobs, in words that reports can set against another's."""
    protocol = entry.protocol
    tables = {"ask": dict(protocol.ask), "observe": dict(protocol.observe), "judge": dict(protocol.judge)}
    return {"title": entry.task.title, **tables, "note": protocol.note}


def write_results(folder: RunFolder, fresh: Mapping[str, Mapping[str, Any]]) -> None:
    """Lay the fresh results over the old ones: the run's own tasks first, then added ones by name.

    Nothing that depends on when, where or in which batches the run was made may enter: a run that was killed and went
    on must give equal bytes.
    """
    tasks: dict[str, dict[str, Any]] = {name: dict(table) for name, table in folder.results().get("tasks", {}).items()}
    for task, protocols in fresh.items():
        tasks.setdefault(task, {}).update(protocols)
    asked = {task: list(protocols) for task, protocols in folder.header["tasks"].items()}
    ordered = [task for task in asked if task in tasks] + sorted(set(tasks) - set(asked))
    folder.write_results(
        {
            "schema": SCHEMA,
            "model": folder.header["model"],
            "seed": folder.header["seed"],
            "limit": folder.header["limit"],
            "tasks": {
                task: {
                    protocol: tasks[task][protocol]
                    for protocol in [
                        *(name for name in asked.get(task, ()) if name in tasks[task]),
                        *sorted(set(tasks[task]) - set(asked.get(task, ()))),
                    ]
                }
                for task in ordered
            },
        }
    )
