"""The command that would run something again with other settings, and what that would cost by a run's own timings."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from janus_eval import plan, plugins
from janus_eval.errors import UserError
from janus_eval.explaining.holding import Holding
from janus_eval.plan import Choice
from janus_eval.specs import offered

SETTINGS = "settings."


def defaults_of(model: str) -> dict[str, Any] | None:
    """The settings that a family has where nothing is said; None for a model that no plugin offers."""
    if model not in plugins.names("models"):
        return None
    settings: dict[str, Any] = offered("models", model).Settings().model_dump(mode="json")
    return settings


def checkpoint_of(header: Mapping[str, Any]) -> str:
    """The checkpoint that was run, be it the family's default; empty where there is none."""
    model = header["model"]
    if model.get("checkpoint"):
        return str(model["checkpoint"])
    family = offered("models", model["name"]) if model["name"] in plugins.names("models") else None
    return str(getattr(family, "default", ""))


def run_command(folder: Holding, spec: str, changes: Mapping[str, Any], *, whole: bool = False) -> str:
    """Run ``spec`` (TASK/PROTOCOL) as this run was, but for some changes; empty where its model has no name.

    ``changes``: ``settings.NAME``, ``model`` as ``--model`` takes it, ``dtype``, ``seed``; ``whole``: without a limit.
    """
    header = folder.header
    own = header["model"]
    name, _, checkpoint = (
        changes["model"].partition(":") if "model" in changes else (own["name"], "", own.get("checkpoint") or "")
    )
    defaults = defaults_of(name)
    if defaults is None:
        return ""
    settings = own["settings"] if name == own["name"] else {}
    settings = settings | {key.removeprefix(SETTINGS): v for key, v in changes.items() if key.startswith(SETTINGS)}
    wanted = {key: value for key, value in settings.items() if key in defaults and value != defaults[key]}
    options = "&".join(f"{key}={_text(value)}" for key, value in wanted.items())
    named = name + (f":{checkpoint}" if checkpoint else "") + (f"?{options}" if options else "")
    words = ["janus-eval", "run", "--task", spec, "--model", named]
    for option, value, usual in (
        ("--limit", None if whole else header.get("limit"), None),
        ("--seed", changes.get("seed", header["seed"]), 0),
        ("--device", header.get("device"), "cpu"),
        ("--dtype", changes.get("dtype", own.get("dtype")), "float32"),
    ):
        if value is not None and value != usual:
            words += [option, str(value)]
    instruments = [
        word for role, name in _instruments(folder, spec).items() for word in ("--instrument", f"{role}={name}")
    ]
    return shlex.join([*words, *instruments, "--out", str(folder.path.parent)])


def _instruments(folder: Holding, spec: str) -> dict[str, str]:
    """Those that the run had in place of its protocol's own."""
    task, _, protocol = spec.partition("/")
    stored = folder.results()["tasks"].get(task, {}).get(protocol)
    known = offered("tasks", task).protocols.get(protocol)
    if stored is None or known is None:
        return {}
    return {role: name for role, name in stored["protocol"]["observe"].items() if known.observe.get(role) != name}


def score_command(path: Path, spec: str, instruments: Mapping[str, str]) -> str:
    """Judge a run again under ``spec``, which asks instruments and no model."""
    options = [word for role, name in instruments.items() for word in ("--instrument", f"{role}={name}")]
    return shlex.join(["janus-eval", "score", str(path), "--protocol", spec, *options])


def _text(value: Any) -> str:
    """An option's value as ``M?k=v&...`` takes it."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.replace("%", "%25").replace("&", "%26")


def seconds(folder: Holding, task: str, requests: int) -> float | None:
    """What so many requests of a task would take with their looks, at this run's pace; None where nothing was timed."""
    rates: dict[str, list[float]] = {}
    for timing in folder.timings():
        if timing.get("task") == task and timing.get("n"):
            total = rates.setdefault(f"{timing['stage']} {timing.get('role', '')}", [0.0, 0.0])
            total[0] += float(timing["seconds"])
            total[1] += float(timing["n"])
    if not rates:
        return None
    return requests * sum(taken / count for taken, count in rates.values())


def whole_size(choice: Choice, seed: int) -> int | None:
    """How many requests a task makes without a limit; None where its data are not on this machine."""
    try:
        [entry] = plan.entries([choice], seed=seed, limit=None)
    except UserError:
        return None
    return sum(len(row) for row in entry.asking.requests)
