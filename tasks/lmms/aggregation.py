"""lmms-eval's own aggregation of a task's items, kept from asking and writing."""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

from janus_eval.plain import one_line
from janus_eval.tasks.lmms import theirs
from janus_eval.tasks.lmms.guard import AskedError, guarded


class Aggregated(NamedTuple):
    """A figure, or why there is none."""

    value: float | None
    reason: str = ""


def aggregated(task: Any, metric: str, items: Sequence[Any]) -> Aggregated:
    """What the task's aggregation makes of items. ``metric`` may have a filter's name behind a comma."""
    function = task.aggregation().get(metric.partition(",")[0])
    if function is None:
        return Aggregated(None, "lmms-eval knows no aggregation of it")
    try:
        with guarded() as folder:
            options = argparse.Namespace(output_path=folder)
            found = theirs.plain(function(list(items), **({"args": options} if _takes_args(function) else {})))
    except AskedError as error:
        return Aggregated(None, f"its aggregation asks {error}, which nothing here does while it judges")
    except Exception as error:  # noqa: BLE001 - the task's code is anyone's
        return Aggregated(None, f"its aggregation fails: {type(error).__name__}: {one_line(error, 160)}")
    if not isinstance(found, float):
        return Aggregated(None, "its aggregation gives no number (a file for an upload, which is not written here)")
    return Aggregated(found)


def _takes_args(function: Any) -> bool:
    try:
        return "args" in inspect.signature(function).parameters
    except ValueError:  # a function that is built in
        return False
